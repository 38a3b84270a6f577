"""Polymarket's and Kalshi's clients against the simulated exchanges: what they read is what is there."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from markets.exceptions import ExchangeError
from markets.exchanges import catalogue, quotes, tape
from markets.exchanges.wire import Wire
from markets.models import Exchange, Market
from markets.simulator import effects
from markets.sync import sync_exchange

pytestmark = pytest.mark.django_db
NAMES = ("polymarket", "kalshi")
LEAST = Decimal("1000")


@pytest.fixture
def simulated(following, settings):
    """`simulated(…)`: the exchanges, which stand still, and the settings that point to them without a limit."""

    def start(**options):
        exchange = following(**options)
        for name, root in exchange.roots.items():
            setattr(settings, name, root)
        settings.POLYMARKET_GAMMA_RATE = settings.POLYMARKET_DATA_RATE = settings.POLYMARKET_CLOB_RATE = 0
        settings.KALSHI_RATE = 0
        for name in NAMES:
            Exchange.objects.get_or_create(pk=name, defaults={"title": name})
        return exchange

    return start


def moment(seconds):
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def told(exchange, name):
    return {row["external_id"]: row for row in exchange.truth(name) if row["row"] == "market"}


def assert_same(row, known):
    assert (row.kind, row.external_id, row.title) == (known["kind"], known["external_id"], known["title"])
    assert (row.status, row.volume) == (known["status"], Decimal(known["volume"]))
    assert (row.closes_at, row.resolved_at) == (moment(known["closes_at"]), moment(known["resolved_at"]))
    assert (row.yes_token, row.no_token) == (known["yes_token"], known["no_token"])
    assert row.condition_id == known["condition_id"]


@pytest.mark.parametrize("name", NAMES)
def test_the_catalogue_is_what_is_listed(simulated, name):
    exchange = simulated(topics=700)
    client = catalogue(name)
    pages = list(client.pages())
    found = {row.external_id: row for page in pages for row in page.rows}
    known = told(exchange, name)
    assert sum(len(page.rows) for page in pages) == len(found) > 500
    assert [bad for page in pages for bad in page.rejected] == []
    assert set(found) == {external_id for external_id, row in known.items() if row["listed"]}
    for external_id, row in found.items():
        assert_same(row, known[external_id])
        assert row.price is None or 0 <= row.price <= 1
    assert any(row.price for row in found.values())
    client.close()


@pytest.mark.parametrize("name", NAMES)
def test_single_markets_are_read_through_all_of_their_lives(simulated, name):
    exchange = simulated(topics=30)
    client = catalogue(name)
    read = Counter()
    for _ in range(3):
        for external_id, known in told(exchange, name).items():
            if read[known["status"]] < 20:
                page = client.market("binary", external_id)
                assert page or not known["listed"], "it comes later"
                for row in page.rows if page else ():
                    assert_same(row, known)
                    read[row.status] += 1
        exchange.step(4 * 86_400)
    assert set(read) == {"open", "closed", "resolved"}
    assert client.market("binary", "999999999999") is None
    client.close()


def as_told(row):
    exact = (Decimal(row["price"]).normalize(), Decimal(row["size"]).normalize())
    return (row["market"], row["side"], row["outcome"].casefold(), *exact, row["traded_at"])


def as_read(row):
    micros = int(row.traded_at.timestamp()) * 10**6 + row.traded_at.microsecond
    return (row.market, row.side, row.outcome.casefold(), row.price.normalize(), row.size.normalize(), micros)


@pytest.mark.parametrize("name", NAMES)
def test_trades_read_minute_by_minute_are_all_that_there_are_and_each_once(simulated, name):
    exchange = simulated(trades_per_minute=1_000)
    started = exchange.now
    client, since = tape(name), moment(exchange.now)
    found = {}
    for seconds in (60, 60, 7, 113, 60):
        exchange.step(seconds)
        for part in client.slices(since=since, until=moment(exchange.now), least_usd=LEAST):
            assert part.missed == "" and part.rejected == ()
            assert list(part.rows) == sorted(part.rows, key=lambda row: (row.traded_at, row.key))
            found |= {row.key: row for row in part.rows}
            since = part.until
    assert since == moment(exchange.now)
    world = [row for row in exchange.truth(name, since=started, least=str(LEAST)) if row["row"] == "trade"]
    mine = Counter(as_read(row) for row in found.values() if row.traded_at > moment(started))
    assert mine == Counter(as_told(row) for row in world if row["traded_at"] > started * 10**6) and len(mine) > 20
    client.close()


@pytest.mark.parametrize("name", NAMES)
def test_prices_and_books_and_histories(simulated, name):
    simulated(topics=40)
    client, listing = quotes(name), catalogue(name)
    rows = [row for page in listing.pages() for row in page.rows]
    markets = [Market(exchange_id=name, external_id=row.external_id, yes_token=row.yes_token) for row in rows]
    prices = {market.external_id: price.price for market, price in client.prices(markets)}
    assert prices == {row.external_id: row.price for row in rows if row.price is not None}
    depth = points = 0
    for market in markets[:20]:
        book = client.book(market)
        assert [level.price for level in book.bids] == sorted((level.price for level in book.bids), reverse=True)
        assert not (book.bids and book.asks) or book.bids[0].price < book.asks[0].price
        until = book.at
        history = client.history(market, since=until - timedelta(days=2), until=until)
        assert all(earlier.at < later.at for earlier, later in pairwise(history))
        depth, points = depth + len(book.bids), points + len(history)
    assert depth > 20 and points > 100
    client.close()
    listing.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_sync_brings_all_in_and_the_next_one_changes_nothing(simulated, name):
    exchange = simulated(topics=250)
    first = sync_exchange(name)
    assert first.rejected == 0 and first.created == first.seen == Market.objects.of(name).count() > 200
    again = sync_exchange(name)
    assert (again.created, again.updated, again.unchanged) == (0, 0, first.seen)
    exchange.step(3_600)
    for _ in range(3):  # each looks at some of those that are no longer listed
        sync_exchange(name)
    known = told(exchange, name)
    held = {market.external_id: market for market in Market.objects.of(name)}
    assert {external_id for external_id, row in known.items() if row["listed"]} <= set(held)
    for external_id in held.keys() & known.keys():
        assert_same(held[external_id], known[external_id])


def hurry(*clients):
    """Let these wait for nothing."""
    for client in clients:
        for wire in [part for part in vars(client).values() if isinstance(part, Wire)]:
            wire._total_seconds, wire._sleep = 0.5, lambda seconds: None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", [*effects.SHIFTS, *effects.EFFECTS])
def test_whatever_goes_wrong_is_an_error_of_the_exchange_or_a_row_that_is_rejected(simulated, name, fault):
    exchange = simulated(topics=40, trades_per_minute=100)
    listing, trades, prices = catalogue(name), tape(name), quotes(name)
    (market, *_) = [row for page in listing.pages() for row in page.rows if row.yes_token or name == "kalshi"]
    market = Market(exchange_id=name, external_id=market.external_id, yes_token=market.yes_token)
    hurry(listing, trades, prices)
    exchange.fault(fault, rows=6, delay=2)
    now = moment(exchange.now)
    asked = [
        lambda: list(listing.pages()),
        lambda: listing.market("binary", market.external_id),
        lambda: list(trades.slices(since=now - timedelta(minutes=3), until=now, least_usd=LEAST)),
        lambda: list(prices.prices([market])),
        lambda: prices.book(market),
        lambda: prices.history(market, since=now - timedelta(hours=3), until=now),
    ]
    for ask in asked:
        try:
            ask()
        except ExchangeError as error:
            assert "elsewhere" not in str(error)  # noqa: PT017 - most faults end in one, some do not
    for client in (listing, trades, prices):
        client.close()
