"""Kalshi's payloads into rows: pure functions of what was received."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from markets.exchanges.fields import money
from markets.exchanges.kalshi.payloads import (
    BookPayload,
    CandlePayload,
    CandlesPayload,
    Detail,
    MarketPayload,
    Markets,
    TradePayload,
    Trades,
)
from markets.exchanges.reading import Sorted, each, read
from markets.exchanges.rows import Book, Level, MarketRow, Page, Price, Status, TradeRow

STATUS: dict[str, Status] = {"initialized": "open", "active": "open", "finalized": "resolved", "settled": "resolved"}
"""All others are closed: nothing can be traded, and nothing is paid out yet."""
OUTCOMES = {"yes": "Yes", "no": "No"}


def listing(payload: Any, *, path: str) -> tuple[Page, str]:
    """A page of markets and the cursor of the next, "" where there is none.

    A bad entry is rejected by itself, a bad page raises BadAnswer.
    """
    given = read(Markets, payload, path)
    return _page(given.markets or []), given.cursor or ""


def detail(payload: Any, *, path: str) -> Page:
    """A single market, as a page of one entry; raises BadAnswer."""
    return _page([read(Detail, payload, path).market])


def trades(payload: Any, *, path: str) -> tuple[Sorted[TradeRow], str]:
    """A page of trades in its own order, with what of it cannot be read, and the cursor of the next."""
    given = read(Trades, payload, path)
    return each(given.trades or [], trade, name="trade_id"), given.cursor or ""


def market(entry: Any) -> MarketRow:
    """A row of the markets; raises ValueError."""
    payload = MarketPayload.model_validate(entry)
    status = STATUS.get(payload.status, "closed")
    return MarketRow(
        kind="binary",
        external_id=payload.ticker,
        title=_title(payload),
        status=status,
        volume=payload.volume_fp,
        closes_at=payload.close_time,
        resolved_at=payload.settlement_ts if status == "resolved" else None,
        price=payload.last_price_dollars if payload.last_price_dollars or payload.volume_fp else None,
    )


def trade(entry: Any) -> TradeRow:
    """A row of the trades: what its taker bought, and for how much; raises ValueError."""
    payload = TradePayload.model_validate(entry)
    outcome = payload.taker_side or payload.taker_outcome_side
    if outcome is None:
        raise ValueError("taker_side: neither this nor taker_outcome_side says what was bought")
    price = _price(payload, outcome)
    return TradeRow(
        key=payload.trade_id,
        market=payload.ticker,
        side="buy",
        outcome=OUTCOMES[outcome],
        price=price,
        size=payload.count_fp,
        usd=money(payload.count_fp, price),
        traded_at=payload.created_time,
    )


def book(payload: Any, *, path: str, at: datetime) -> Book:
    """An order book of YES: to buy NO at a price is to sell YES at what is left of a dollar. Raises BadAnswer."""
    sides = read(BookPayload, payload, path).orderbook_fp
    bids = [Level(price=price, size=size) for price, size in sides.yes_dollars or () if size]
    asks = [Level(price=1 - price, size=size) for price, size in sides.no_dollars or () if size]
    return Book(
        at=at,
        bids=tuple(sorted(bids, key=lambda level: -level.price)),
        asks=tuple(sorted(asks, key=lambda level: level.price)),
    )


def history(payload: Any, *, path: str) -> list[Price]:
    """The last price of each stretch in which something was traded, the oldest first.

    A bad stretch is left out, a bad page raises BadAnswer.
    """
    candles, _ = each(read(CandlesPayload, payload, path).candlesticks or [], CandlePayload.model_validate, name="")
    prices = {candle.end_period_ts: candle.price.close_dollars for candle in candles}
    return [Price(at=at, price=price) for at, price in sorted(prices.items()) if price is not None]


def _page(entries: Sequence[Any]) -> Page:
    rows, rejected = each(entries, market, name="ticker")
    return Page(rows=rows, rejected=rejected, length=len(entries))


def _title(payload: MarketPayload) -> str:
    """The question, with the answer that this market is about where the question does not hold it."""
    title, answer = payload.title or "", payload.yes_sub_title or ""
    if not title and not answer:
        raise ValueError("title: neither this nor yes_sub_title says what is asked")
    told = answer.casefold() in title.casefold() or answer.casefold() in OUTCOMES
    return f"{title} ({answer})" if title and not told else title or answer


def _price(payload: TradePayload, outcome: str) -> Decimal:
    """What the taker paid for a contract; the two prices add up to a dollar, so that one is enough."""
    yes, no = payload.yes_price_dollars, payload.no_price_dollars
    own, other = (yes, no) if outcome == "yes" else (no, yes)
    if own is not None:
        return own
    if other is not None:
        return 1 - other
    raise ValueError("yes_price_dollars: neither this nor no_price_dollars says the price")
