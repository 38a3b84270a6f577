"""The circuit of an exchange on its pages, and the button that closes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from markets.exchanges.circuit import FAILURES
from markets.models import Exchange
from scheduling import clock
from tests.scheduling.admin.conftest import as_user, operator, viewer  # noqa: F401 - fixtures
from tests.scheduling.admin.functions import HOSTILE

pytestmark = pytest.mark.django_db

LIST = reverse("admin:markets_exchange_changelist")
PAGE = reverse("admin:markets_exchange_change", args=["opinion"])
CLOSE = reverse("admin:markets_exchange_verb", args=["opinion", "close_circuit"])


def put(failures: int, seconds: float, said: str = "") -> None:
    until = clock.now() + timedelta(seconds=seconds)
    Exchange.objects.filter(pk="opinion").update(failures=failures, closed_until=until, last_failure=said)


@pytest.mark.parametrize(
    ("failures", "seconds", "shown"),
    [
        (0, -1, 'badge-active">closed<'),
        (FAILURES - 1, -1, 'badge-active">closed<'),
        (1, 25, 'badge-paused">asked to wait<'),
        (FAILURES, 25, 'badge-failed">open<'),
        (FAILURES, -1, 'badge-late">half-open<'),
    ],
)
def test_its_state_is_on_the_list_and_on_the_page(viewer, failures, seconds, shown):  # noqa: F811
    put(failures, seconds)
    for url in (LIST, PAGE):
        page = viewer.look(url)
        assert shown in page and ("in 2" in page) == (seconds > 0)


def test_the_last_failure_is_shown_as_text(viewer):  # noqa: F811
    put(1, 0, HOSTILE)
    page = viewer.look(PAGE)
    assert "The last request that failed" in page and "<script>alert" not in page and "&lt;script&gt;" in page


def test_closing_it_needs_the_permission_and_leaves_an_entry(viewer, operator):  # noqa: F811
    put(FAILURES, 600)
    assert viewer.post(CLOSE).status_code == 403 and "Close the circuit" not in viewer.look(PAGE)
    assert Exchange.objects.get(pk="opinion").failures == FAILURES
    assert "Close the circuit" in operator.look(PAGE)
    assert "is asked again from now on" in operator.press(CLOSE).content.decode()
    exchange = Exchange.objects.get(pk="opinion")
    assert (exchange.failures, exchange.closed_until) == (0, None)
    assert "Circuit closed after 5 failures" in LogEntry.objects.get().get_change_message()


def test_where_nothing_failed_there_is_nothing_to_close(operator):  # noqa: F811
    assert "Close the circuit<" not in operator.look(PAGE)
    assert "had no failure to forget" in operator.press(CLOSE).content.decode()
    assert not LogEntry.objects.exists()
