"""An analysis from end to end: what is fetched, what becomes of what is missing, what is stored, how it is run."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import IntegrityError, connection, transaction

from markets.analysis import storing
from markets.analysis.computing import compute
from markets.analysis.fetching import ANALYSES, DEEPEST, fetch_book, fetch_day, fetch_month
from markets.analysis.functions import analyse_market, analysis
from markets.analysis.gathering import Fetched, Input, gather, whale_flows
from markets.analysis.storing import store
from markets.exceptions import CircuitOpen, RateLimited, Refused, Unreachable
from markets.exchanges.rows import Book, Level, Price
from markets.models import Market, Report
from scheduling import RetryAfter, clock, functions, scheduler, testing, workflows
from scheduling.models import Job
from tests.markets.analysis.conftest import analysed, fetched

pytestmark = pytest.mark.django_db

DOWN = Unreachable("GET /book: no answer (timeout)")


def hourly(*values: str, now: datetime) -> list[Price]:
    return [Price(at=now - timedelta(hours=len(values) - n), price=D(value)) for n, value in enumerate(values)]


def hourly_book(*levels: int) -> Book:
    sides = [tuple(Level(price=D(n + 1) / 10**6, size=D(1)) for n in range(count)) for count in levels]
    return Book(at=clock.now(), bids=sides[0][::-1], asks=sides[1])


def test_a_report_holds_all_figures_as_text(market, trade, quoting):
    now = clock.now()
    mine = market("Will Bitcoin be above $96,000 tomorrow in Oslo?")
    there = market("Bitcoin above 96k tomorrow in Oslo", exchange_id="kalshi")
    quoting("opinion", on_history=hourly("0.50", "0.60", "0.55", now=now))
    quoting("kalshi", on_prices=Price(at=now, price=D("0.58")))
    trade(mine, 3000, wallet="0xa")
    trade(mine, 1000, wallet="0xb", hours=100)
    trade(mine, 1000, hours=300)
    job = analysed(mine)
    report = Report.objects.get(pk=job.result["report"])
    figures = report.figures
    assert (job.state, job.result["missing"], report.job_id) == ("success", [], job.pk)
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


def test_its_steps_are_a_plan_fetches_at_once_the_report_and_what_is_told(market, quoting):
    mine = market("Will Bitcoin be above $96,000 tomorrow in Oslo?")
    market("Bitcoin above 96k tomorrow in Oslo", exchange_id="kalshi")
    quoting()
    quoting("kalshi")
    job = analysed(mine)
    assert [(step.kind, step.name) for step in workflows.steps(job)] == [
        ("run", "markets.plan_analysis"),
        ("gather", "4 calls"),
        ("run", "markets.store_report"),
        ("run", "markets.tell_of_report"),
    ]
    assert testing.replay(job) == 4


def test_each_input_says_when_it_was_read_and_how_much_of_it_there_was(market, trade, quoting):
    mine, now = market(), clock.now()
    quoted = quoting(on_history=hourly("0.5", "0.6", now=now))
    trade(mine, sampled=True)
    analysed(mine)
    said = Report.objects.get().inputs
    assert set(said) == {"book", "day", "month", "trades", "related", "elsewhere"}
    assert {name: each["count"] for name, each in said.items()} == {
        "book": 2, "day": 2, "month": 2, "trades": 1, "related": 0, "elsewhere": 0,
    }  # fmt: skip
    assert all(now <= datetime.fromisoformat(each["read_at"]) <= clock.now() for each in said.values())
    assert datetime.fromisoformat(said["day"]["as_of"]) == now - timedelta(hours=1)
    assert "samples" in said["trades"]["note"]
    assert sorted(quoted.asked) == ["book", "history of 1 days", "history of 30 days"]
    assert quoted.closed == 3


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
    quoted = quoting(**{"on_history": hourly("0.5", "0.6", "0.5", now=clock.now())} | answers)
    job = analysed(mine, seconds=60)
    assert job.result["missing"] == missing
    report = Report.objects.get()
    assert [report.figures[name] for name in null] == [None] * len(null)
    assert None not in [report.figures[name] for name in (*there, "whales", "price")]
    assert report.inputs[missing[0]]["missing"] == "GET /book: no answer (timeout)"
    assert len(quoted.asked) == 4 * len(missing) + (3 - len(missing)), "each that failed was asked four times"


def test_an_empty_book_is_there_and_tells_nothing(market, quoting):
    mine = market(last_price=D("0.4"), price_at=clock.now())
    quoting(on_book=Book(at=clock.now()))
    analysed(mine)
    figures = Report.objects.get().figures
    assert (figures["spread"], figures["depth"], figures["volatility_day"], figures["whales"]) == (
        None,
        None,
        None,
        None,
    )
    assert (figures["price"], figures["price_of"], figures["whale_volume_day"]) == ("0.4", "last seen", "0")


def test_where_the_exchange_gives_nothing_it_fails_and_stores_nothing(market, quoting):
    quoted = quoting(on_book=DOWN, on_history=DOWN)
    job = analysed(market(), seconds=60)
    assert (job.state, len(quoted.asked)) == ("failed", 12)
    assert job.error.endswith("NothingGathered: opinion gave nothing: GET /book: no answer (timeout)")
    assert not Report.objects.exists()


def test_one_that_asks_to_be_left_alone_is_asked_again_when_it_says(market, quoting):
    quoted = quoting(on_book=RateLimited("GET /book: 429", retry_after=1000))
    with pytest.raises(RetryAfter) as limited:
        fetch_book(market().pk)
    assert limited.value.wait == timedelta(seconds=1000)
    quoted.asked.clear()
    job = analysed(market(), seconds=990)
    assert (job.state, quoted.asked.count("book")) == ("pending", 1)
    quoted.on_book = Book(at=clock.now())
    testing.advance(20)
    assert scheduler.get(job.pk).result["missing"] == []


@pytest.mark.parametrize(
    "error",
    [
        Refused("GET /markets: refused with 400", errno=400),
        CircuitOpen("kalshi is not asked now: refused with 400", retry_after=600),
    ],
    ids=["refuses", "left alone"],
)
def test_another_exchange_that_fails_leaves_the_price_that_was_last_seen(market, quoting, error):
    mine = market("Will Bitcoin be above $96,000 tomorrow in Oslo?")
    seen = {"last_price": D("0.7"), "price_at": clock.now() - timedelta(days=1)}
    market("Bitcoin above 96k tomorrow in Oslo", exchange_id="kalshi", **seen)
    quoting()
    quoting("kalshi", on_prices=error)
    assert analysed(mine, seconds=60).state == "success"
    report = Report.objects.get()
    assert report.figures["elsewhere"][0]["difference"] == "-0.08"
    assert report.inputs["elsewhere"]["note"].startswith("kalshi: ")
    assert "refused with 400" in report.inputs["elsewhere"]["note"]


def test_a_key_is_never_kept(market, quoting):
    mine = market()
    quoting(on_book=Refused("GET /book: refused", errno=401, said="bad key s3cret-key"), key="s3cret-key")
    analysed(mine, seconds=60)
    report = Report.objects.get()
    assert "bad key" in report.inputs["book"]["missing"]
    assert "s3cret" not in str(report.inputs) + str(report.figures)
    assert "s3cret" not in str(list(Job.objects.values_list("error", "result", "args")))


def test_a_topic_an_unknown_market_and_an_exchange_without_prices_are_refused_for_good(market, quoting):
    quoted = quoting()
    for wrong in (market(kind="categorical").pk, 10**9, market(exchange_id="kalshi").pk):
        job = scheduler.now(analyse_market, {"market_id": wrong})
        testing.advance(10)
        assert scheduler.get(job.pk).state == "failed"
    assert "no prices can be asked of 'kalshi'" in scheduler.get(job.pk).error
    assert not quoted.asked


def test_nothing_is_asked_inside_a_transaction(market, quoting):
    quoted = quoting()
    inside = []
    quoted.book = lambda of: inside.append(len(connection.savepoint_ids)) or Book(at=clock.now())
    before = len(connection.savepoint_ids)
    assert analysed(market()).state == "success"
    assert inside == [before]


def test_what_goes_from_step_to_step_is_small_and_tells_the_same(market, quoting):
    """A minute's prices of 30 days, which is more than any exchange gives, and a book of thousands of prices."""
    mine, now = market(), clock.now()
    prices = [Price(at=now - timedelta(minutes=n), price=D(n % 97) / 100) for n in range(43_200, -1, -1)]
    quoting(on_history=prices, on_book=hourly_book(9_000, 3_000))
    whole = gather(
        mine,
        now,
        {
            "book": Fetched(how=Input(read_at=now), book=hourly_book(9_000, 3_000)),
            "day": Fetched(how=Input(read_at=now), history=tuple(prices[-1441:])),
            "month": Fetched(how=Input(read_at=now), history=tuple(prices)),
        },
    )
    stored = analysed(mine)
    steps = json.dumps([step.args for step in workflows.steps(stored)])
    report = Report.objects.get()
    assert len(steps) < 1 << 19
    assert (report.inputs["book"]["count"], report.inputs["month"]["count"]) == (12_000, 43_201)
    same = ("price", "best_bid", "best_ask", "spread", "volatility_day", "volatility_month")
    assert {name: report.figures[name] for name in same} == {name: compute(whole)[name] for name in same}
    assert D(report.figures["volatility_month"]) > 0


def test_fetches_can_be_read_back_as_they_were(market, quoting):
    mine = market()
    quoting(on_history=hourly("0.5", "0.6", now=clock.now()), on_book=hourly_book(DEEPEST + 5, 1))
    for fetch, args in (
        (fetch_book, {}),
        (fetch_day, {"until": clock.now()}),
        (fetch_month, {"until": clock.now()}),
    ):
        made = fetch(mine.pk, **args)
        text = functions.get(fetch).store_result(made)
        assert storing.store_report.load(
            storing.store_report.store({"market_id": mine.pk, "at": clock.now(), "fetched": {"book": json.loads(text)}})
        )["fetched"] == {"book": made}
    assert len(fetch_book(mine.pk).book.bids) == DEEPEST


def test_flows_are_summed_by_wallet_over_eight_days(market, trade):
    mine, other = market(), market()
    for usd, hours in ((100, 1), (10, 23), (1, 25), (1000, 24 * 8 - 1), (5000, 24 * 8 + 1)):
        trade(mine, usd, hours=hours, wallet="0xa")
    trade(mine, "0.000000000000000001", wallet=None, sampled=True)
    trade(other, 9, wallet="0xa")
    flows = {flow.wallet: flow for flow in whale_flows(mine, clock.now())}
    assert (flows["0xa"].day, flows["0xa"].week, flows["0xa"].trades) == (110, 1001, 4)
    assert (flows[None].day, flows[None].sampled) == (D("0.000000000000000001"), 1)


def test_a_job_has_one_report(market):
    gathered = gather(market(), clock.now(), fetched())
    store(gathered, {"price": "0.1"}, job_id=5)
    with pytest.raises(IntegrityError), transaction.atomic():
        store(gathered, {"price": "0.2"}, job_id=5)
    assert Report.objects.get().figures == {"price": "0.1"}


def test_the_newest_reports_of_a_market_are_kept(market, monkeypatch):
    monkeypatch.setattr(storing, "KEPT", 3)
    mine, other = (gather(market(), clock.now(), fetched()) for _ in range(2))
    kept = store(other, {})
    reports = [store(mine, {}) for _ in range(5)]
    assert set(Report.objects.values_list("pk", flat=True)) == {kept.pk, *(report.pk for report in reports[2:])}


def test_a_market_that_is_gone_before_its_report_is_stored(market, quoting):
    mine, quoted = market(), quoting()
    quoted.close = lambda: Market.objects.filter(pk=mine.pk).delete()
    job = analysed(mine, seconds=60)
    assert job.state == "failed" and not Report.objects.exists()
    assert f"no binary market has the id {mine.pk}" in job.error or "any more" in job.error


def test_analyses_begin_at_the_pace_of_their_limit_and_fetch_two_at_a_time(market, quoting):
    quoting()
    made = [scheduler.now(analyse_market, {"market_id": market().pk}) for _ in range(20)]
    testing.drain()
    assert Report.objects.count() == 2, "what there is at once"
    fetches = Job.objects.filter(name__startswith="markets.fetch_")
    assert {job.pool for job in fetches} == {ANALYSES}
    assert not Job.objects.filter(pk__in=[job.pk for job in made]).exclude(pool="").exists()
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


def test_an_analysis_survives_an_outage(market, quoting):
    quoted = quoting(on_book=DOWN, on_history=DOWN)
    (job,) = scheduler.bulk([analysis(market().pk)])
    testing.drain()
    quoted.on_history = []
    testing.advance(60)
    job.refresh_from_db()
    assert (job.state, job.result["missing"]) == ("success", ["book"])
    assert Report.objects.get().job_id == job.pk


def test_a_restart_from_a_step_makes_a_report_of_its_own(market, quoting):
    quoted = quoting()
    job = analysed(market())
    quoted.asked.clear()
    again = workflows.restart(job, from_step="markets.store_report")
    testing.drain()
    assert not quoted.asked
    assert set(Report.objects.values_list("job_id", flat=True)) == {job.pk, again.pk}
