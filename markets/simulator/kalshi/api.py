"""Kalshi's endpoints below /trade-api/v2.

What the documentation does not say is on the unfriendly side: `max_ts` is exact to the microsecond, no status
word lists what is inactive, and a cursor that is not ours is refused. UNVERIFIED, as no answer of theirs was
recorded: order books and candlesticks.
"""

import base64
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import itemgetter

from markets.simulator.kalshi import rows
from markets.simulator.query import HIGHEST, Query
from markets.simulator.reply import Refusal, Reply, Unknown, Unusable, as_json
from markets.simulator.site import Answer
from markets.simulator.tape import REACH, SECOND, Tape
from markets.simulator.venue import ALL, COMING, ENDED, OPEN, Entry, Place, Venue, place_of

DEFAULT_LIMIT, MOST_ROWS, MOST_TICKERS, MOST_CANDLES = 100, 1_000, 100, 5_000
SETTLING = ("closed", "determined", "disputed", "amended")
LISTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "unopened": (COMING, ("initialized",)),
    "open": (OPEN, ("active",)),
    "closed": (ENDED, SETTLING),
    "settled": (ENDED, ("finalized",)),
    "": (ALL, ("initialized", "active", "inactive", *SETTLING, "finalized")),
}
"""By the word that is asked for: where they stand, and the words that the rows say."""
INTERVALS = (1, 60, 1_440)  # minutes
SPANS: dict[str, Callable[[Entry], int]] = {
    "created": lambda entry: entry.market.opened_at,
    "close": lambda entry: entry.market.closes_at,
    "settled": lambda entry: entry.market.resolved_at,
}


def refuse(refusal: Refusal) -> Reply:
    code, status = ("not_found", 404) if isinstance(refusal, Unknown) else ("bad_request", 400)
    return as_json({"error": {"code": code, "message": str(refusal), "service": "simulator"}}, status)


class Api:
    """Answers from a venue and its tape."""

    def __init__(self, venue: Venue, tape: Tape) -> None:
        self.venue = venue
        self.tape = tape
        self.answers: dict[str, Answer] = {
            "/markets": self._markets,
            "/markets/trades": self._trades,
            "/markets/{ticker}": self._market,
            "/markets/{ticker}/orderbook": self._orderbook,
            "/series/{series}/markets/{ticker}/candlesticks": self._candlesticks,
        }

    def _markets(self, name: str, query: Query, at: int) -> Reply:
        limit = query.number("limit", DEFAULT_LIMIT, low=1, high=MOST_ROWS)
        page = list(islice(self._listed(query, at), limit + 1))
        more = len(page) > limit
        return as_json(
            {
                "markets": [rows.market_row(entry, at) for _, entry in page[:limit]],
                "cursor": _cursor(*page[limit - 1][0]) if more else "",
            }
        )

    def _listed(self, query: Query, at: int) -> Iterator[tuple[Place, Entry]]:
        """What is asked for, the newest first, from the cursor on."""
        part, words = LISTED[query.word("status", *LISTED)]
        wanted = _filter(query, at)
        place = _place(query)
        if "tickers" in query:
            named = filter(None, (self._find(ticker, at) for ticker in query.several("tickers")[:MOST_TICKERS]))
            found: Iterable[tuple[Place, Entry]] = sorted(dict(named).items(), key=itemgetter(0))
            found = [row for row in found if place is None or row[0] > place]
        else:
            openings = self.venue.listing(at, part).after(place)
            found = ((place_of(opening), self.venue.entry(opening)) for opening in openings)
        return (row for row in found if rows.status(row[1].market, at) in words and wanted(row[1]))

    def _find(self, ticker: str, at: int) -> tuple[Place, Entry] | None:
        number = rows.number_in(ticker)
        entry = self.venue.find(number, at) if number is not None else None
        if not entry or rows.ticker_of(entry) != ticker:
            return None
        return (-entry.topic.opened_at, entry.market.number), entry

    def _entry(self, ticker: str, at: int) -> Entry:
        found = self._find(ticker, at)
        if not found:
            raise Unknown("not found")
        return found[1]

    def _market(self, name: str, query: Query, at: int) -> Reply:
        return as_json({"market": rows.market_row(self._entry(name, at), at)})

    def _orderbook(self, name: str, query: Query, at: int) -> Reply:
        return as_json(rows.order_book(self._entry(name, at).market, at))

    def _candlesticks(self, name: str, query: Query, at: int) -> Reply:
        market = self._entry(name, at).market
        start, end, minutes = (_needed(query, word) for word in ("start_ts", "end_ts", "period_interval"))
        if minutes not in INTERVALS:
            raise Unusable("period_interval must be one of 1, 60, 1440")
        seconds = minutes * 60
        if end - start > MOST_CANDLES * seconds:
            raise Unusable(f"more than {MOST_CANDLES} candlesticks were requested")
        first = max(start, market.opened_at + seconds) + seconds - 1
        last = min(end, at, market.closes_at + seconds)
        candles = [rows.candle(market, stop, seconds) for stop in range(first // seconds * seconds, last + 1, seconds)]
        return as_json({"ticker": name, "candlesticks": candles})

    def _trades(self, name: str, query: Query, at: int) -> Reply:
        limit = query.number("limit", DEFAULT_LIMIT, low=1, high=MOST_ROWS)
        newest = self.tape.count(min(at, query.number("max_ts", at)) * SECOND)
        oldest = self.tape.count(query.number("min_ts", 0) * SECOND - 1) + 1
        cursor = _decoded(query)
        newest = min(newest, cursor[0]) if cursor else newest
        ticker = query.text("ticker")
        trades = self.tape.back(newest, max(oldest, newest - REACH) if ticker else oldest)
        found = (trade for trade in trades if not ticker or rows.ticker_of(trade.entry) == ticker)
        page = list(islice(found, limit + 1))
        return as_json(
            {
                "trades": [rows.trade_row(trade) for trade in page[:limit]],
                "cursor": _cursor(page[limit].number) if len(page) > limit else "",
            }
        )


def _filter(query: Query, at: int) -> Callable[[Entry], bool]:
    """Events, series, and at most one span of time."""
    spans = [name for name in SPANS if f"min_{name}_ts" in query or f"max_{name}_ts" in query]
    if len(spans) > 1:
        raise Unusable(f"{' and '.join(spans)} timestamps are mutually exclusive")
    events, series = query.several("event_ticker"), query.text("series_ticker")
    last = {"settled": at}
    bounds = [
        (
            SPANS[name],
            query.number(f"min_{name}_ts", 0),
            min(query.number(f"max_{name}_ts", HIGHEST), last.get(name, HIGHEST)),
        )
        for name in spans
    ]

    def wanted(entry: Entry) -> bool:
        if (events and rows.event_of(entry.topic) not in events) or series not in ("", rows.series_of(entry.topic)):
            return False
        return all(low <= moment(entry) <= high for moment, low, high in bounds)

    return wanted


def _needed(query: Query, name: str) -> int:
    query.required(name)
    return query.number(name, 0)


def _cursor(*numbers: int) -> str:
    return base64.urlsafe_b64encode(":".join(map(str, numbers)).encode()).decode()


def _decoded(query: Query) -> tuple[int, ...]:
    text = query.text("cursor")
    try:
        return tuple(int(part) for part in base64.urlsafe_b64decode(text).split(b":")) if text else ()
    except ValueError as error:
        raise Unusable("cursor is not usable") from error


def _place(query: Query) -> Place | None:
    numbers = _decoded(query)
    if len(numbers) not in (0, 2):
        raise Unusable("cursor is not usable")
    return (numbers[0], numbers[1]) if numbers else None
