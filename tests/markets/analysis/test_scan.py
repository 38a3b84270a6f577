"""A scan: many analyses as one batch, of markets that are not being analysed already."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal as D

import pytest

from markets.analysis.functions import AGAIN, WINDOW, analyse_market, analysis, deep_scan
from markets.exceptions import Unreachable
from markets.models import Exchange, Report
from scheduling import batches, scheduler, testing
from scheduling.models import Job
from tests.markets.analysis.conftest import analysed

pytestmark = pytest.mark.django_db

DOWN = Unreachable("GET /book: no answer (timeout)")


def markets_of(scan) -> set[int]:
    return {job.args["market_id"] for job in Job.objects.filter(batch=scan["batch"])}


def test_a_scan_analyses_the_most_traded_open_markets(market, quoting):
    quoting()
    large, larger = market(volume=D(10**6)), market(volume=D(10**7))
    market(volume=D(5))
    for changed in ({"status": "closed"}, {"kind": "categorical"}, {"exchange_id": "kalshi"}):
        market(volume=D(10**9), **changed)
    scan = deep_scan(top=2)
    assert (scan["scheduled"], scan["left_alone"]) == (2, 0)
    assert markets_of(scan) == {large.pk, larger.pk}
    Exchange.objects.update(enabled=False)
    assert deep_scan(top=2) == {"batch": None, "scheduled": 0, "left_alone": 0}


def test_it_is_a_batch_that_tells_how_many_succeeded_and_how_many_failed(market, quoting, caplog):
    quoting()
    quoting("kalshi", on_book=DOWN, on_history=DOWN)
    market(exchange_id="kalshi")
    for _ in range(3):
        market()
    job = scheduler.now(deep_scan, {"top": 4})
    with caplog.at_level(logging.INFO, "markets.analysis"):
        testing.advance(120)
    scan = scheduler.get(job.pk).result
    status = batches.status(scan["batch"])
    assert (status.state, status.succeeded, status.failed) == ("success", 3, 1)
    assert f"scan.finish batch={scan['batch']} total=4 succeeded=3 failed=1 canceled=0" in caplog.text
    assert Report.objects.count() == 3
    failed = [one for one in batches.results(scan["batch"]) if one.state == "failed"]
    assert len(failed) == 1 and "kalshi gave nothing" in failed[0].error


def test_a_scan_under_way_is_not_doubled(market, quoting):
    quoting()
    for _ in range(3):
        market()
    first = deep_scan()
    assert deep_scan() == {"batch": None, "scheduled": 0, "left_alone": 3}
    testing.advance(60)
    assert Report.objects.count() == 3
    assert batches.status(first["batch"]).state == "success"
    assert deep_scan()["scheduled"] == 0
    testing.clock.jump(WINDOW)
    assert deep_scan()["scheduled"] == 3


def test_only_what_is_not_being_analysed_is_scheduled(market, quoting):
    quoting()
    by_hand, slow, new = market(), market(), market()
    scheduler.bulk([analysis(slow.pk)])
    testing.clock.jump(WINDOW + timedelta(days=1))  # nothing has run meanwhile: it has not ended
    scheduler.bulk([analysis(by_hand.pk)])
    scan = deep_scan()
    assert (markets_of(scan), scan["left_alone"]) == ({new.pk}, 2)


def test_a_failed_analysis_is_scanned_again_after_half_an_hour(market, quoting):
    quoting(on_book=DOWN, on_history=DOWN)
    mine = market()
    assert analysed(mine, seconds=60).state == "failed"
    assert deep_scan()["scheduled"] == 0
    testing.clock.jump(WINDOW)
    assert markets_of(deep_scan()) == {mine.pk}


def test_canceling_the_batch_cancels_its_analyses_with_their_fetches(market, quoting):
    quoting(on_book=DOWN)
    for _ in range(2):
        market()
    scan = deep_scan()
    testing.drain()
    assert batches.cancel(scan["batch"])
    testing.advance(AGAIN)
    assert {job.state for job in Job.objects.filter(name=analyse_market.name)} == {"canceled"}
    assert not Job.objects.filter(name="markets.fetch_book", finished_at=None).exists()
    assert not Report.objects.exists()


def test_scans_wait_for_each_other(market, quoting):
    """Of two at once the second finds what the first has scheduled."""
    quoting()
    market()
    for _ in range(2):
        scheduler.now(deep_scan)
    testing.drain()
    scans = Job.objects.filter(name="markets.deep_scan").order_by("pk")
    assert {job.pool for job in scans} == {"market_scans"}
    assert [job.result["scheduled"] for job in scans] == [1, 0]
