"""Prices of what is watched: from the listing where it says them, else asked for within a budget."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from markets import prices
from markets.exceptions import Unreachable
from markets.exchanges import QUOTES
from markets.exchanges.rows import Price
from markets.models import Market, PriceSnapshot
from markets.results import Counts, Tally
from markets.writing import write_page
from scheduling import clock as app_clock
from scheduling import testing
from tests.markets.rows import START, row

pytestmark = pytest.mark.django_db(transaction=True)

LATER = START + timedelta(minutes=5)
HALF = Decimal("0.5")


def write(*rows, at=START):
    return write_page(exchange="opinion", rows=rows, at=at)


def watch(*ids):
    Market.objects.filter(external_id__in=map(str, ids)).update(watched=True)


def kept():
    return list(PriceSnapshot.objects.order_by("market", "at").values_list("market__external_id", "price", "at"))


# From the listing


def test_a_price_of_the_listing_is_the_markets():
    write(row(1, price=HALF), row(2))
    assert list(Market.objects.order_by("pk").values_list("last_price", "price_at")) == [(HALF, START), (None, None)]


def test_a_changed_price_is_a_changed_row_and_an_unchanged_one_writes_nothing():
    write(row(1, price=HALF))
    assert write(row(1, price=HALF), at=LATER) == Counts(unchanged=1)
    assert Market.objects.get().price_at == START
    assert write(row(1, price=HALF / 2), at=LATER) == Counts(updated=1)
    assert (Market.objects.get().last_price, Market.objects.get().price_at) == (HALF / 2, LATER)


def test_a_listing_without_the_price_takes_none_away():
    write(row(1, price=HALF))
    assert write(row(1), at=LATER) == Counts(unchanged=1)
    assert write(row(1, title="Another"), at=LATER) == Counts(updated=1)
    assert (Market.objects.get().last_price, Market.objects.get().price_at) == (HALF, START)


def test_prices_of_what_is_watched_are_kept_over_time():
    page = [row(1, price=HALF), row(2, price=HALF), row(3)]
    write(*page)
    assert kept() == []
    watch(1, 3)
    write(*page, at=LATER)
    write(replace(page[0], price=Decimal(1)), *page[1:], at=LATER + timedelta(minutes=5))
    assert kept() == [("1", HALF, LATER), ("1", Decimal(1), LATER + timedelta(minutes=5))]
    write(*page, at=LATER)
    assert len(kept()) == 2


def test_they_cost_one_statement_more():
    page = [row(number, price=HALF) for number in range(50)]
    write(*page)
    watch(*range(50))
    with CaptureQueriesContext(connection) as captured:
        write(*page, at=LATER)
    assert [query["sql"].split()[0] for query in captured.captured_queries if "markets_" in query["sql"]] == [
        "SELECT",
        "SELECT",
        "INSERT",
    ]


# Asked for


class Quoting:
    """Quotes that give the prices of these markets, by their ids, and raise what is none."""

    def __init__(self, **known):
        self.known = {name.lstrip("m"): price for name, price in known.items()}
        self.wire = SimpleNamespace(requests=0, secrets=())
        self.asked = []

    def __call__(self):
        return self

    def prices(self, markets):
        for market in markets:
            self.asked.append(market.external_id)
            self.wire.requests += 1
            price = self.known.get(market.external_id)
            if isinstance(price, Exception):
                raise price
            if price is not None:
                yield market, Price(at=app_clock.now(), price=price)

    def close(self):
        pass


@pytest.fixture
def clock():
    with testing.clock(start=START) as clock:
        yield clock


def ask(monkeypatch, quotes, **options):
    monkeypatch.setitem(QUOTES, "opinion", quotes)
    quotes.wire.requests, quotes.asked = 0, []
    tally = Tally("opinion")
    prices.ask(tally, since=options.pop("since", app_clock.now()), say=lambda note: None)
    return tally


def test_open_binary_watched_markets_are_asked_for(monkeypatch, clock):
    write(row(1), row(2), row(3, status="closed"), row(4, kind="categorical"), row(5))
    watch(1, 3, 4, 5)
    quotes = Quoting(m1=HALF)
    tally = ask(monkeypatch, quotes)
    assert quotes.asked == ["1", "5"] and tally.requests == 2 and not tally.rejected
    assert kept() == [("1", HALF, START)]
    assert Market.objects.get(external_id="1").last_price == HALF


def test_what_the_listing_said_in_this_sync_is_not_asked_for(monkeypatch, clock):
    write(row(1), row(2))
    watch(1, 2)
    clock.jump(300)
    write(row(1, price=HALF), row(2), at=clock.now())
    quotes = Quoting()
    ask(monkeypatch, quotes, since=LATER)
    assert quotes.asked == ["2"]


def test_the_longest_unasked_come_first_within_the_budget(monkeypatch, clock, settings):
    settings.PRICE_REQUESTS = 2
    write(*(row(number) for number in range(1, 6)))
    watch(*range(1, 6))
    quotes, asked = Quoting(m2=HALF), []
    for _ in range(3):
        ask(monkeypatch, quotes)
        asked += quotes.asked
        clock.jump(300)
    assert asked == ["1", "2", "3", "4", "5", "1"]


def test_an_exchange_in_trouble_leaves_what_came_before_and_says_so(monkeypatch, clock):
    write(row(1), row(2), row(3))
    watch(1, 2, 3)
    tally = ask(monkeypatch, Quoting(m1=HALF, m2=Unreachable("GET /price: no answer", said="go away"), m3=HALF))
    assert kept() == [("1", HALF, START)]
    assert tally.requests == 2
    assert [row.reason for row in tally.rejected] == ["prices: GET /price: no answer. It said: go away"]


def test_nothing_is_asked_where_nothing_is_watched(monkeypatch, clock):
    write(row(1))
    quotes = Quoting(m1=HALF)
    assert ask(monkeypatch, quotes).requests == 0 and quotes.asked == []


def test_a_sync_of_markets_asks_and_counts_the_requests(monkeypatch, following):
    from markets.sync import sync_exchange

    following(topics=5)
    requests = sync_exchange("opinion").requests
    market = Market.objects.filter(kind="binary", status="open").first()
    watch(market.external_id)
    monkeypatch.setitem(QUOTES, "opinion", Quoting(**{f"m{market.external_id}": HALF}))
    assert sync_exchange("opinion").requests == requests + 1
    assert kept()[0][:2] == (market.external_id, HALF)
