"""What of markets is registered to be scheduled, and when it runs."""

from datetime import UTC, datetime, timedelta

import pytest

from markets import conf
from markets.crons import crons
from markets.exceptions import SyncFailed
from markets.functions import sync_markets, write_page
from markets.models import Market, SyncLog
from markets.results import Counts
from scheduling import RetryAfter, scheduler
from tests.markets.rows import row

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_action_gives_a_result_for_each_exchange(following):
    following(topics=20)
    (result,) = sync_markets()
    assert result["exchange"] == "opinion" and result["created"] == Market.objects.count()
    assert SyncLog.objects.get().state == "success"


def test_the_mutation_called_directly_writes_and_leaves_no_record():
    at = datetime(2026, 11, 21, tzinfo=UTC)
    assert write_page(exchange="opinion", rows=[row(1)], at=at) == Counts(created=1)
    assert not scheduler.pending().exists()


def test_a_failure_names_the_exchange(following):
    following().fault("errno")
    with pytest.raises(SyncFailed, match="opinion: GET /market"):
        sync_markets()


def test_too_many_requests_set_the_next_wait(following):
    following().fault("too_many", retry_after=0)
    with pytest.raises(RetryAfter, match="opinion"):
        sync_markets(exchange="opinion")


def test_both_can_be_scheduled():
    assert sync_markets.name == "markets.sync_markets" and write_page.name == "markets.write_page"
    rows = [row(1), row(2, parent="9", closes_at=datetime(2026, 11, 21, tzinfo=UTC), labels=("a",))]
    stored = write_page.store({"exchange": "opinion", "rows": rows, "at": datetime(2026, 11, 21, tzinfo=UTC)})
    assert write_page.load(stored)["rows"] == rows


def test_the_cron():
    assert list(crons.declared) == ["sync-markets"]
    assert conf.sync_markets_every() == timedelta(minutes=5)
