"""What of markets is registered to be scheduled, and when it runs."""

from datetime import UTC, datetime, timedelta

import pytest

from markets import conf
from markets.crons import crons
from markets.exceptions import CircuitOpen, RateLimited, SyncFailed
from markets.exchanges import TAPES
from markets.exchanges.rows import Slice
from markets.functions import sync_markets, sync_whale_trades, write_page
from markets.models import Exchange, Market, SyncLog
from markets.results import Counts
from scheduling import RetryAfter, scheduler, testing
from scheduling.exceptions import JobTimeout
from tests.markets.rows import START, ScriptedTape, row, trade

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


@pytest.fixture
def trading(monkeypatch):
    """`trading(opinion=slice, kalshi=error, …)`: these exchanges alone have tapes, and this is on them."""
    for name in list(TAPES):
        monkeypatch.delitem(TAPES, name)

    def trade(**tapes):
        for name, slice in tapes.items():
            Exchange.objects.get_or_create(id=name, defaults={"title": name})
            monkeypatch.setitem(TAPES, name, ScriptedTape(slice))

    return trade


def test_an_exchange_that_is_to_be_left_alone_for_long_does_not_keep_the_others_from_their_next_tick(trading):
    trading(opinion=Slice(until=START), kalshi=CircuitOpen("kalshi is not asked now", retry_after=60))
    with testing.clock():
        job = scheduler.now("markets.sync_whale_trades")
        testing.drain()
        assert (scheduler.get(job.id).state, scheduler.get(job.id).attempt) == ("failed", 1)


@pytest.mark.parametrize(
    ("tapes", "wait"),
    [
        ({"opinion": Slice(until=START), "kalshi": RateLimited("GET /: 429", retry_after=7)}, 7),
        ({"opinion": CircuitOpen("open", retry_after=90), "kalshi": RateLimited("GET /: 429", retry_after=70)}, 70),
    ],
    ids=["for a moment", "where nobody is well"],
)
def test_else_the_next_attempt_waits_for_the_first_that_may_be_asked(trading, tapes, wait):
    trading(**tapes)
    with pytest.raises(RetryAfter) as caught:
        sync_whale_trades()
    assert caught.value.wait == timedelta(seconds=wait)


def test_both_can_be_scheduled():
    assert sync_markets.name == "markets.sync_markets" and write_page.name == "markets.write_page"
    rows = [row(1), row(2, parent="9", closes_at=datetime(2026, 11, 21, tzinfo=UTC), labels=("a",))]
    stored = write_page.store({"exchange": "opinion", "rows": rows, "at": datetime(2026, 11, 21, tzinfo=UTC)})
    assert write_page.load(stored)["rows"] == rows


CRONS = {
    "sync-markets": ("300", "markets.sync_markets", (0.5, 2, 3), 300, 900),
    "sync-whale-trades": ("* * * * *", "markets.sync_whale_trades", (0.25, 2, 3), 45, 300),
    "compute-stats": ("0 * * * *", "markets.compute_stats", None, None, None),
    "cleanup": ("0 2 * * *", "markets.cleanup", None, None, None),
    "watch-timeouts": ("* * * * *", "markets.watch_timeouts", None, None, None),
}
"""When, what, its retry (initial_backoff, base, max_failures), and in seconds its timeout and fresh_within."""


def test_the_crons():
    assert conf.sync_markets_every() == timedelta(minutes=5)
    found = {}
    for name, cron in crons.declared.items():
        policy = cron.retry and tuple(cron.retry[part] for part in ("initial_backoff", "base", "max_failures"))
        found[name] = (cron.spec, cron.function, policy, cron.timeout, cron.fresh_within)
        assert (cron.timezone, cron.overlap) == ("UTC", "skip")
    assert found == CRONS


def test_a_sync_by_hand_has_the_same_bounds():
    for function, seconds in ((sync_markets, 300), (sync_whale_trades, 45)):
        assert function.options.timeout == timedelta(seconds=seconds)
        assert function.options.retry is not None


def test_a_sync_that_runs_out_of_time_says_so_in_its_log(monkeypatch):
    monkeypatch.setitem(TAPES, "opinion", ScriptedTape(JobTimeout()))
    with pytest.raises(JobTimeout):
        sync_whale_trades()
    assert (SyncLog.objects.get().state, SyncLog.objects.get().error) == ("failed", "timeout")


def test_the_action_of_trades_gives_a_result_for_each_exchange(monkeypatch):
    monkeypatch.setitem(TAPES, "opinion", ScriptedTape(Slice(until=START, rows=(trade(),))))
    with testing.clock():
        job = scheduler.now("markets.sync_whale_trades", {"exchange": "opinion"})
        testing.drain()
    done = scheduler.get(job.id)
    assert done.state == "success" and [(one["exchange"], one["created"]) for one in done.result] == [("opinion", 1)]
    assert (SyncLog.objects.get().job_id, SyncLog.objects.get().attempt) == (job.id, 1)
