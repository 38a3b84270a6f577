"""An analysis from end to end: what is gathered, what becomes of what is missing, what is stored, how it is run."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection, transaction

from markets.analysis import storing
from markets.analysis.computing import compute
from markets.analysis.functions import ANALYSES, analyse_market, analysis, deep_scan
from markets.analysis.gathering import gather, whale_flows
from markets.analysis.storing import store
from markets.exceptions import NothingGathered, RateLimited, Refused, UnknownExchange, Unreachable
from markets.exchanges.rows import Book, Price
from markets.models import Exchange, Report
from scheduling import Permanent, RetryAfter, clock, scheduler, testing
from scheduling.models import Job

pytestmark = pytest.mark.django_db

DOWN = Unreachable("GET /book: no answer (timeout)")


def hourly(*values: str, now: datetime) -> list[Price]:
    return [Price(at=now - timedelta(hours=len(values) - n), price=D(value)) for n, value in enumerate(values)]


def test_a_report_holds_all_figures_as_text(market, trade, quoting):
    now = clock.now()
    mine = market("Will Bitcoin be above $96,000 tomorrow in Oslo?")
    there = market("Bitcoin above 96k tomorrow in Oslo", exchange_id="kalshi")
    quoting("opinion", on_history=hourly("0.50", "0.60", "0.55", now=now))
    quoting("kalshi", on_prices=Price(at=now, price=D("0.58")))
    trade(mine, 3000, wallet="0xa")
    trade(mine, 1000, wallet="0xb", hours=100)
    trade(mine, 1000, hours=300)
    result = analyse_market(mine.pk)
    report = Report.objects.get(pk=result["report"])
    figures = report.figures
    assert result["missing"] == []
    assert (figures["best_bid"], figures["best_ask"], figures["spread"], figures["mid"]) == (
        "0.6",
        "0.64",
        "0.04",
        "0.62",
    )
    assert figures["depth"]["2"] == {
        "bids": {"shares": "100", "dollars": "60"},
        "asks": {"shares": "50", "dollars": "32"},
    }
    assert figures["depth"]["1"]["bids"]["shares"] == "0"
    assert (figures["price"], figures["price_of"]) == ("0.62", "mid")
    assert D(figures["volatility_day"]) > D("0.1") < D(figures["volatility_month"])
    assert (figures["whale_volume_day"], figures["whale_volume_week"], figures["volume_trend"]) == (
        "3000",
        "1000",
        "21",
    )
    assert figures["whales"]["wallets"] == 2
    assert (figures["whales"]["largest"], figures["whales"]["herfindahl"]) == ("0.75", "0.625")
    (other,) = figures["elsewhere"]
    assert (other["market"], other["price"], other["difference"]) == (there.pk, "0.58", "0.04")
    assert figures["largest_difference"] == "0.04"


def test_each_input_says_when_it_was_read_and_how_much_of_it_there_was(market, trade, quoting):
    mine, now = market(), clock.now()
    quoted = quoting(on_history=hourly("0.5", "0.6", now=now))
    trade(mine, sampled=True)
    gathered = gather(mine)
    said = {name: each.as_json() for name, each in gathered.inputs.items()}
    assert set(said) == {"book", "day", "month", "trades", "related", "elsewhere"}
    assert {name: each["count"] for name, each in said.items()} == {
        "book": 2, "day": 2, "month": 2, "trades": 1, "related": 0, "elsewhere": 0,
    }  # fmt: skip
    assert all(now <= datetime.fromisoformat(each["read_at"]) <= clock.now() for each in said.values())
    assert datetime.fromisoformat(said["day"]["as_of"]) == now - timedelta(hours=1)
    assert "samples" in said["trades"]["note"]
    assert quoted.asked == ["book", "history of 1 days", "history of 30 days"]
    assert quoted.closed == 1


@pytest.mark.parametrize(
    ("answers", "missing", "null", "there"),
    [
        ({"on_book": DOWN}, ["book"], ("best_bid", "spread", "mid", "depth"), ("volatility_day",)),
        ({"on_history": DOWN}, ["day", "month"], ("volatility_day", "volatility_month"), ("spread", "depth")),
    ],
)
def test_what_is_missing_leaves_its_figures_null_and_the_report_stands(
    market, trade, quoting, answers, missing, null, there
):
    mine = market()
    trade(mine, wallet="0xa")
    quoting(**{"on_history": hourly("0.5", "0.6", "0.5", now=clock.now())} | answers)
    result = analyse_market(mine.pk)
    assert result["missing"] == missing
    report = Report.objects.get()
    assert [report.figures[name] for name in null] == [None] * len(null)
    assert None not in [report.figures[name] for name in (*there, "whales", "price")]
    assert "no answer" in report.inputs[missing[0]]["missing"]


def test_an_empty_book_is_there_and_tells_nothing(market, quoting):
    mine = market(last_price=D("0.4"), price_at=clock.now())
    quoting(on_book=Book(at=clock.now()))
    figures = compute(gather(mine))
    assert (figures["spread"], figures["depth"], figures["volatility_day"], figures["whales"]) == (
        None,
        None,
        None,
        None,
    )
    assert (figures["price"], figures["price_of"], figures["whale_volume_day"]) == ("0.4", "last seen", "0")


def test_where_the_exchange_gives_nothing_it_fails_and_stores_nothing(market, quoting):
    mine = market()
    quoting(on_book=DOWN, on_history=DOWN)
    with pytest.raises(NothingGathered, match="opinion gave nothing"):
        analyse_market(mine.pk)
    quoting(on_book=RateLimited("429", retry_after=7), on_history=RateLimited("429", retry_after=9))
    with pytest.raises(RetryAfter) as limited:
        analyse_market(mine.pk)
    assert limited.value.args and not Report.objects.exists()


def test_another_exchange_that_fails_leaves_the_price_that_was_last_seen(market, quoting):
    mine = market("Will Bitcoin be above $96,000 tomorrow in Oslo?")
    seen = {"last_price": D("0.7"), "price_at": clock.now() - timedelta(days=1)}
    market("Bitcoin above 96k tomorrow in Oslo", exchange_id="kalshi", **seen)
    quoting()
    quoting("kalshi", on_prices=Refused("GET /markets: refused with 400", errno=400))
    gathered = gather(mine)
    assert compute(gathered)["elsewhere"][0]["difference"] == "-0.08"
    assert "refused with 400" in gathered.inputs["elsewhere"].note


def test_a_key_is_never_kept(market, quoting):
    mine = market()
    quoting(on_book=Refused("GET /book: refused", errno=401, said="bad key s3cret-key"), key="s3cret-key")
    analyse_market(mine.pk)
    report = Report.objects.get()
    assert "bad key" in report.inputs["book"]["missing"]
    assert "s3cret" not in str(report.inputs) + str(report.figures)


def test_a_topic_an_unknown_market_and_an_exchange_without_prices_are_refused_for_good(market, quoting):
    quoting()
    for wrong in (market(kind="categorical").pk, 10**9, market(exchange_id="kalshi").pk):
        with pytest.raises(Permanent):
            analyse_market(wrong)
    with pytest.raises(UnknownExchange):
        gather(market(exchange_id="kalshi"))


def test_nothing_is_asked_inside_a_transaction(market, quoting):
    mine, quoted = market(), quoting()
    inside = []
    quoted.book = lambda of: inside.append(len(connection.savepoint_ids)) or Book(at=clock.now())
    before = len(connection.savepoint_ids)
    analyse_market(mine.pk)
    assert inside == [before]


def test_flows_are_summed_by_wallet_over_eight_days(market, trade):
    mine, other = market(), market()
    for usd, hours in ((100, 1), (10, 23), (1, 25), (1000, 24 * 8 - 1), (5000, 24 * 8 + 1)):
        trade(mine, usd, hours=hours, wallet="0xa")
    trade(mine, "0.000000000000000001", wallet=None, sampled=True)
    trade(other, 9, wallet="0xa")
    flows = {flow.wallet: flow for flow in whale_flows(mine, clock.now())}
    assert (flows["0xa"].day, flows["0xa"].week, flows["0xa"].trades) == (110, 1001, 4)
    assert (flows[None].day, flows[None].sampled) == (D("0.000000000000000001"), 1)


def test_a_job_that_is_tried_again_has_one_report(market, quoting):
    quoting()
    gathered = gather(market())
    first = store(gathered, {"price": "0.1"}, job_id=5)
    again = store(gathered, {"price": "0.2"}, job_id=5)
    assert first.pk == again.pk
    assert Report.objects.get().figures == {"price": "0.2"}


def test_the_newest_reports_of_a_market_are_kept(market, quoting, monkeypatch):
    monkeypatch.setattr(storing, "KEPT", 3)
    quoting()
    mine, other = gather(market()), gather(market())
    kept = store(other, {})
    reports = [store(mine, {}) for _ in range(5)]
    assert set(Report.objects.values_list("pk", flat=True)) == {kept.pk, *(report.pk for report in reports[2:])}


def test_a_scan_analyses_the_most_traded_open_markets(market, quoting):
    quoting()
    large, larger = market(volume=D(10**6)), market(volume=D(10**7))
    market(volume=D(5))
    for changed in ({"status": "closed"}, {"kind": "categorical"}, {"exchange_id": "kalshi"}):
        market(volume=D(10**9), **changed)
    scan = deep_scan(top=2)
    assert scan["scheduled"] == 2
    assert {job.args["market_id"] for job in Job.objects.filter(pk__in=scan["jobs"])} == {large.pk, larger.pk}
    Exchange.objects.update(enabled=False)
    assert deep_scan(top=2)["jobs"] == []


def test_a_scan_under_way_is_not_doubled(market, quoting):
    quoting()
    for _ in range(3):
        market()
    first = deep_scan()
    again = deep_scan()
    assert (again["jobs"], again["scheduled"]) == (first["jobs"], 0)
    testing.advance(60)
    assert Report.objects.count() == 3
    assert deep_scan()["scheduled"] == 0
    testing.clock.jump(1800)
    assert deep_scan()["scheduled"] == 3


def test_analyses_keep_to_their_pool_and_their_limit(market, quoting):
    quoting()
    for _ in range(20):
        market()
    deep_scan()
    job = Job.objects.first()
    assert job.pool == ANALYSES and ANALYSES in job.rate_limit
    testing.drain()
    assert Report.objects.count() == 2, "what there is at once"
    testing.advance(30)
    assert Report.objects.count() == 8, "and 12 a minute"


def test_by_hand_it_is_done_again_after_a_minute(market, quoting):
    quoting()
    mine = market()

    def ask() -> bool:
        with transaction.atomic():
            (job,) = scheduler.bulk([analysis(mine.pk)])
        return job.created

    assert ask() and not ask()
    testing.clock.jump(60)
    assert ask()


def test_an_analysis_is_tried_again_after_an_outage(market, quoting):
    quoted = quoting(on_book=DOWN, on_history=DOWN)
    (job,) = scheduler.bulk([analysis(market().pk)])
    testing.drain()
    quoted.on_history = []
    testing.advance(60)
    job.refresh_from_db()
    assert (job.state, job.result["missing"]) == ("success", ["book"])
    assert Report.objects.get().job_id == job.pk
