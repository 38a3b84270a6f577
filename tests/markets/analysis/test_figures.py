"""The figures of a market: worked examples, and what holds for all books, prices and wallets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.analysis import figures
from markets.analysis.figures import Flow
from markets.exchanges.rows import Book, Level, Price
from tests.scheduling.properties import examples

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

cents = st.integers(1, 99).map(lambda n: D(n) / 100)
sizes = st.integers(1, 10**9).map(lambda n: D(n) / 1000)
levels = st.lists(st.builds(lambda price, size: Level(price=price, size=size), cents, sizes), max_size=12)
amounts = st.integers(0, 10**12).map(lambda n: D(n) / 10**6)


def book(bids=(), asks=()) -> Book:
    """A book of (price, size), each written as text."""
    return Book(at=NOON, bids=rows(bids), asks=rows(asks))


def rows(levels) -> tuple[Level, ...]:
    return tuple(Level(price=D(price), size=D(size)) for price, size in levels)


def prices(*values: str, apart: timedelta = HOUR) -> list[Price]:
    """Prices so far apart, the last one at noon."""
    first = NOON - (len(values) - 1) * apart
    return [Price(at=first + n * apart, price=D(value)) for n, value in enumerate(values)]


def mirrored(given: Book) -> Book:
    """The book of NO shares: to sell YES at a price is to buy NO at what is left of a dollar."""

    def turned(levels):
        return tuple(Level(price=1 - level.price, size=level.size) for level in levels)

    return Book(at=given.at, bids=turned(given.asks), asks=turned(given.bids))


def test_spread_and_mid():
    top = figures.top(book([("0.60", "10"), ("0.59", "5")], [("0.63", "1"), ("0.70", "2")]))
    assert (top.bid, top.ask, top.spread, top.mid) == (D("0.60"), D("0.63"), D("0.03"), D("0.615"))


@pytest.mark.parametrize(
    "given", [book(), book([("0.5", "1")]), book([], [("0.5", "1")]), book([("0.6", "1")], [("0.5", "1")])]
)
def test_a_book_with_an_empty_side_and_a_crossed_one_have_neither(given):
    top = figures.top(given)
    assert (top.spread, top.mid, figures.depth(given)) == (None, None, None)


def test_depth_counts_what_lies_within_so_many_cents_of_the_mid():
    given = book(
        [("0.50", "100"), ("0.49", "10"), ("0.45", "1000")],
        [("0.52", "50"), ("0.53", "20"), ("0.56", "7"), ("0.57", "9")],
    )
    depth = figures.depth(given)  # the mid is 0.51
    assert {c: sides.bids.shares for c, sides in depth.items()} == {1: D(100), 2: D(110), 5: D(110)}
    assert {c: sides.asks.shares for c, sides in depth.items()} == {1: D(50), 2: D(70), 5: D(77)}
    assert depth[2].bids.dollars == D("50") + D("4.9")
    assert depth[5].asks.dollars == D("26") + D("10.6") + D("3.92")


@examples(200)
@given(levels, levels)
def test_a_mirrored_book_gives_mirrored_figures(bids, asks):
    given = Book(at=NOON, bids=tuple(bids), asks=tuple(asks))
    one, other = figures.top(given), figures.top(mirrored(given))
    assert one.spread == other.spread
    assert (one.mid is None) == (other.mid is None)
    if one.mid is None:
        return
    assert one.mid + other.mid == 1
    mine, theirs = figures.depth(given), figures.depth(mirrored(given))
    for within in figures.DISTANCES:
        for here, there in ((mine[within].bids, theirs[within].asks), (mine[within].asks, theirs[within].bids)):
            assert here.shares == there.shares
            assert here.dollars + there.dollars == here.shares, "a YES and a NO share are a dollar together"


@examples(200)
@given(levels, levels)
def test_depth_grows_with_the_distance_and_never_exceeds_the_book(bids, asks):
    depth = figures.depth(Book(at=NOON, bids=tuple(bids), asks=tuple(asks)))
    if depth is not None:
        shares = [depth[within].bids.shares for within in figures.DISTANCES]
        assert shares == sorted(shares) and shares[-1] <= sum(level.size for level in bids)
        assert depth[5].asks.dollars <= sum(level.size for level in asks)


def test_sums_of_money_lose_nothing():
    given = book([("0.5", "1" + "0" * 18 + ".000000000000000001")] * 2, [("0.5", "1")])
    assert figures.depth(given)[1].bids.dollars == D("1" + "0" * 18 + ".000000000000000001")


def test_volatility_is_the_root_of_the_squared_changes_of_a_day():
    given = prices("0.50", "0.53", "0.49")  # over two hours: 0.0009 + 0.0016 = 0.0025, 12 times a day: 0.03
    assert figures.volatility(given, step=HOUR, until=NOON) == D("0.173205081")


def test_a_price_that_stands_still_until_the_end_counts_as_time():
    given = prices("0.50", "0.53", "0.49")
    later = figures.volatility(given, step=HOUR, until=NOON + 6 * HOUR)
    assert later == D("0.086602540"), "four times the time, half the root"


def test_of_each_step_the_last_price_counts():
    fine = prices("0.1", "0.9", "0.5", "0.9", "0.5", apart=timedelta(minutes=30))
    assert figures.volatility(fine, step=HOUR, until=NOON) == figures.volatility(
        [fine[1], fine[3], fine[4]], step=HOUR, until=NOON
    )


@pytest.mark.parametrize("given", [[], prices("0.5"), prices("0.5", "0.6", apart=timedelta(minutes=30))])
def test_too_few_prices_and_too_little_time_tell_no_volatility(given):
    assert figures.volatility(given, step=timedelta(minutes=5), until=NOON) is None


@examples(100)
@given(st.lists(cents, min_size=2, max_size=40))
def test_volatility_is_the_same_of_no_shares_and_none_where_nothing_moves(values):
    yes = prices(*map(str, values))
    no = [Price(at=price.at, price=1 - price.price) for price in yes]
    until = NOON + HOUR
    found = figures.volatility(yes, step=HOUR, until=until)
    assert found == figures.volatility(no, step=HOUR, until=until)
    assert (found == 0) == (len(set(values)) == 1)


def test_the_trend_is_against_an_average_day_of_the_week_before():
    flows = [Flow(wallet="a", day=D(300), week=D(350)), Flow(wallet=None, day=D(0), week=D(350))]
    day, week = figures.total(flows)
    assert (day, week) == (D(300), D(700))
    assert figures.trend(day, week) == 3
    assert figures.trend(day, D(0)) is None
    assert figures.trend(D(0), week) == 0


def test_concentration_of_whales():
    flows = [
        Flow(wallet=name, day=D(usd), week=D(0)) for name, usd in zip("abcdef", (50, 20, 10, 10, 5, 5), strict=True)
    ]
    found = figures.whales([*flows, Flow(wallet=None, day=D(60), week=D(40))])
    assert (found.wallets, found.known, found.largest, found.five_largest) == (6, D("0.5"), D("0.5"), D("0.95"))
    assert found.herfindahl == D("0.315")


def test_whales_without_known_wallets_tell_no_concentration():
    assert figures.whales([]) is None
    assert figures.whales([Flow(wallet=None, day=D(5), week=D(5))]) is None
    assert figures.whales([Flow(wallet="a", day=D(0), week=D(0))]) is None


@examples(200)
@given(
    st.lists(
        st.builds(Flow, wallet=st.sampled_from(["a", "b", "c", "d", "e", "f", "g", None]), day=amounts, week=amounts)
    )
)
def test_concentration_is_from_0_to_1_and_in_order(flows):
    found = figures.whales(flows)
    if found is None:
        assert not sum(flow.day + flow.week for flow in flows if flow.wallet)
        return
    assert 0 < found.herfindahl <= found.largest <= found.five_largest <= 1
    assert found.herfindahl >= D(1) / found.wallets - figures.PLACES
    unknown = sum(flow.day + flow.week for flow in flows if flow.wallet is None)
    assert 0 <= found.known <= 1
    assert unknown or found.known == 1


def test_differences_to_other_markets():
    assert figures.differences(D("0.6"), {1: D("0.55"), 2: None}) == {1: D("0.05"), 2: None}
    assert figures.differences(None, {1: D("0.55")}) == {1: None}


@pytest.mark.parametrize(
    ("amount", "text"), [(D("0.500"), "0.5"), (D("1E+3"), "1000"), (D("-0.00"), "0"), (D("100"), "100"), (None, None)]
)
def test_decimals_are_stored_as_plain_text(amount, text):
    assert figures.as_text(amount) == text
