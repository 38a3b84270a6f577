"""Polymarket's Data API: the trades of everybody, the newest first.

UNVERIFIED: `start` and `end`, which newer clients send.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from markets.simulator.polymarket import rows
from markets.simulator.query import Query
from markets.simulator.reply import Reply, Unusable, as_json
from markets.simulator.site import Answer
from markets.simulator.tape import REACH, SECOND, Tape, Trade

DEFAULT_LIMIT, MOST_ROWS, MOST_OFFSET = 100, 10_000, 10_000


class Data:
    """Answers from a tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.answers: dict[str, Answer] = {"/trades": self._trades}

    def _trades(self, name: str, query: Query, at: int) -> Reply:
        limit = query.number("limit", DEFAULT_LIMIT, high=MOST_ROWS)
        offset = query.moved(query.number("offset", 0, high=MOST_OFFSET))
        return as_json(list(islice(self._found(query, at, offset), limit)))

    def _found(self, query: Query, at: int, offset: int) -> Iterator[rows.Row]:
        takers_only, wanted, least = query.boolean("takerOnly", True), _filter(query), _least(query)
        newest = self.tape.count(min(at, query.number("end", at)) * SECOND)
        oldest = max(newest - REACH, self.tape.count(query.number("start", 0) * SECOND - 1) + 1)
        if takers_only and not wanted and not least:
            newest, offset = newest - offset, 0
        trades = self.tape.back(newest, oldest, least)
        found = (row for trade in trades for row in _sides(trade, takers_only) if not wanted or wanted(trade, row))
        return islice(found, offset, None)


def _sides(trade: Trade, takers_only: bool) -> list[rows.Row]:
    taker = rows.trade_row(trade)
    return [taker] if takers_only else [taker, rows.trade_row(trade, maker=True)]


def _least(query: Query) -> float:
    """Dollars of the smallest trade that is wanted; of shares see `_filter`."""
    kind = query.word("filterType", "CASH", "TOKENS")
    if bool(kind) != ("filterAmount" in query):
        raise Unusable("filterType and filterAmount must be provided together")
    return _amount(query) if kind == "CASH" else 0


def _amount(query: Query) -> float:
    try:
        amount = float(query.required("filterAmount"))
    except ValueError as error:
        raise Unusable("filterAmount is not usable") from error
    if not 0 <= amount < 1e18:
        raise Unusable("filterAmount is not usable")
    return amount


def _filter(query: Query) -> Callable[[Trade, rows.Row], bool] | None:
    """By market, wallet, side and shares; None where nothing of this is asked for."""
    markets, wallet, side = query.several("market"), query.text("user").lower(), query.word("side", "BUY", "SELL")
    shares = _amount(query) if query.text("filterType") == "TOKENS" else 0
    if not (markets or wallet or side or shares):
        return None

    def wanted(trade: Trade, row: rows.Row) -> bool:
        if markets and row["conditionId"] not in markets:
            return False
        return wallet in ("", row["proxyWallet"]) and side in ("", row["side"]) and row["size"] >= shares

    return wanted
