"""Following jobs to their end, from a command."""

from __future__ import annotations

import io

import pytest

from scheduling import scheduler, testing
from scheduling.management.following import follow, in_words
from scheduling.models import Job
from tests.scheduling import work

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stderr", "drawn"), [(Terminal(), True), (io.StringIO(), False)])
def test_it_counts_how_they_ended_and_draws_on_a_terminal_only(capsys, stderr, drawn):
    for fails in (False, True, False):
        scheduler.now(work.talk, {"lines": [], "fail": fails})
    testing.drain()
    states = follow(Job.objects.all(), stderr)
    assert states == {"success": 2, "failed": 1}
    assert in_words(states) == "2 success, 1 failed"
    assert stderr.getvalue() == ""
    assert ("3/3" in capsys.readouterr().err) is drawn
