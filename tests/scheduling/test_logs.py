"""What is kept of an attempt's log."""

from __future__ import annotations

import re

import pytest

from scheduling import scheduler
from scheduling.models import State
from tests.scheduling import work

pytestmark = pytest.mark.django_db


def test_the_log_of_an_attempt_is_kept(drain):
    job = scheduler.now(work.talk, {"lines": ["one", "two\nlines"]})
    drain()
    first, second, third = scheduler.get(job.id).log.splitlines()
    assert re.fullmatch(r"[\d-]+ [\d:,]+ INFO tests.work one", first)
    assert second.endswith("tests.work two")
    assert third == "lines"


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\0", "\ud800"], ids=ascii)
def test_the_last_64_kib_of_the_log_are_kept(drain, letter):
    job = scheduler.now(work.talk, {"lines": [letter * 1000] * 100 + ["the end"]})
    drain()
    job.refresh_from_db()
    assert job.state == State.SUCCESS
    assert job.log.endswith("the end")
    assert 60_000 < len(job.log.encode()) <= 64 << 10


def test_one_line_of_a_megabyte_is_cut(drain):
    job = scheduler.now(work.talk, {"lines": ["é" * (1 << 20)]})
    drain()
    assert 60_000 < len(scheduler.get(job.id).log.encode()) <= 64 << 10


def test_logs_of_one_job_are_not_in_anothers(drain):
    jobs = [scheduler.now(work.talk, {"lines": [f"line {n}"]}) for n in range(2)]
    drain()
    logs = [scheduler.get(job.id).log for job in jobs]
    assert ["line 0" in logs[0], "line 1" in logs[0], "line 1" in logs[1]] == [True, False, True]
