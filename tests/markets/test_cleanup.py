"""What has been kept for long enough goes; the last price of each hour, or day, stays."""

from datetime import timedelta
from decimal import Decimal

import pytest

from markets import cleanup as cleaning
from markets.cleanup import cleanup
from markets.models import Market, PriceSnapshot, SyncLog
from markets.writing import write_page
from scheduling import scheduler, testing
from scheduling.models import Job
from tests.markets.rows import START, row

pytestmark = pytest.mark.django_db(transaction=True)

NOW = START + timedelta(minutes=30)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def _clock():
    with testing.clock(start=NOW):
        yield


def log(age, **fields):
    at = NOW - age
    return SyncLog.objects.create(
        exchange_id="opinion", started_at=at, **{"state": "failed", "finished_at": at} | fields
    )


def test_sync_logs_go_after_two_days_and_those_that_run_stay():
    old, young = log(2 * DAY + HOUR, state="success"), log(2 * DAY - HOUR)
    running = log(3 * DAY, state="running", finished_at=None)
    assert cleanup().sync_logs == 1
    assert set(SyncLog.objects.all()) == {young, running} and old not in SyncLog.objects.all()


def run(name, state, age):
    job = scheduler.now(name)
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=NOW - age)
    return job.pk


def test_failed_syncs_go_after_two_days_and_other_runs_after_their_time():
    gone = [
        run("markets.sync_markets", "failed", 2 * DAY + HOUR),
        run("markets.sync_whale_trades", "failed", 2 * DAY + HOUR),
        run("markets.compute_stats", "success", 7 * DAY + HOUR),
    ]
    stay = [
        run("markets.sync_markets", "failed", 2 * DAY - HOUR),
        run("markets.sync_markets", "success", 7 * DAY - HOUR),
        run("markets.compute_stats", "failed", 2 * DAY + HOUR),
        scheduler.run_after(60, "markets.cleanup").pk,
    ]
    assert cleanup().runs == len(gone)
    assert set(Job.objects.values_list("pk", flat=True)) == set(stay)


@pytest.fixture
def markets():
    write_page(exchange="opinion", rows=[row(number) for number in range(1, 4)], at=START)
    return list(Market.objects.order_by("pk"))


def priced(market, *ages):
    """Prices of so long ago; each differs."""
    PriceSnapshot.objects.bulk_create(
        PriceSnapshot(market=market, at=NOW - age, price=Decimal(number) / 1000) for number, age in enumerate(ages)
    )


def ages(market):
    return [NOW - at for at in market.prices.order_by("-at").values_list("at", flat=True)]


def minutes(*counts):
    return [timedelta(minutes=count) for count in counts]


def test_all_prices_of_a_day_are_kept(markets):
    day = [timedelta(minutes=5 * number) for number in range(288)]
    priced(markets[0], *day)
    assert cleanup().prices == 0
    assert ages(markets[0]) == day


def test_the_last_of_each_hour_is_kept_for_a_month_and_the_last_of_each_day_after_that(markets):
    week = 7 * DAY
    # It is 12:30: 29 minutes before is 12:01, 31 is 11:59 and 90 is 11:00.
    hours = [week + age for age in minutes(1, 29, 31, 60, 90, 91)]
    months = [60 * DAY + age for age in minutes(0, 60, 749, 751, 2000)]  # 750 minutes ago was midnight
    priced(markets[0], *hours, *months)
    priced(markets[1], *hours, *months)
    assert cleanup().prices == 2 * (3 + 3)
    kept = [week + age for age in minutes(1, 31, 91)] + [60 * DAY + age for age in minutes(0, 751)]
    assert ages(markets[0]) == ages(markets[1]) == kept
    assert cleanup().prices == 0


def test_an_hour_or_day_is_thinned_only_when_all_of_it_is_old_enough(markets):
    hour_of_the_bound = [DAY + age for age in minutes(1, 15, 29)]
    before_it = [DAY + age for age in minutes(31, 32)]
    day_of_the_bound = [30 * DAY + age for age in minutes(0, 60, 700)]
    before_that = [30 * DAY + age for age in minutes(751, 800)]
    priced(markets[0], *hour_of_the_bound, *before_it, *day_of_the_bound, *before_that)
    cleanup()
    assert ages(markets[0]) == [*hour_of_the_bound, before_it[0], *day_of_the_bound, before_that[0]]


def test_it_goes_on_where_it_was_killed(markets, monkeypatch):
    monkeypatch.setattr(cleaning, "BATCH", 2)
    monkeypatch.setattr(cleaning, "MARKETS", 1)
    for number in range(5):
        log(3 * DAY + number * HOUR)
    for market in markets:
        priced(market, *(7 * DAY + age for age in minutes(1, 2)))

    class Killed(BaseException):
        pass

    def kill(gone, kind):
        if gone == 6:
            raise Killed

    with pytest.raises(Killed):
        cleanup(kill)
    assert not SyncLog.objects.exists() and PriceSnapshot.objects.count() == 5
    again = cleanup()
    assert (again.sync_logs, again.prices) == (0, 2)
    assert [len(ages(market)) for market in markets] == [1, 1, 1]


def test_progress_says_how_much_is_gone_and_of_what(markets):
    log(3 * DAY)
    priced(markets[0], *(7 * DAY + age for age in minutes(1, 2)))
    told = []
    cleanup(lambda *said: told.append(said))
    assert told == [(1, "sync logs"), (2, "prices")]


def test_the_job_gives_what_went():
    log(3 * DAY)
    job = scheduler.now("markets.cleanup")
    testing.drain()
    assert scheduler.get(job.id).result == {"sync_logs": 1, "runs": 0, "prices": 0}
