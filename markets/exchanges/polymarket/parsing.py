"""Polymarket's payloads into rows: pure functions of what was received."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from markets.exceptions import BadAnswer
from markets.exchanges.fields import money
from markets.exchanges.polymarket.payloads import (
    BookPayload,
    HistoryPayload,
    LevelPayload,
    MarketPayload,
    PointPayload,
    TradePayload,
)
from markets.exchanges.reading import Sorted, each, read
from markets.exchanges.rows import Book, Level, MarketRow, Page, Price, Status, TradeRow

YES = "yes"


def listing(entries: Any, *, path: str) -> Page:
    """A page of markets; a bad entry is rejected by itself, what is no list raises BadAnswer."""
    rows, rejected = each(listed(entries, path=path), market, name="id")
    return Page(rows=rows, rejected=rejected, length=len(entries))


def trades(entries: Any, *, path: str) -> Sorted[TradeRow]:
    """A page of trades, in its own order, and what of it cannot be read; what is no list raises BadAnswer."""
    return each(listed(entries, path=path), trade, name="transactionHash")


def is_before(entry: Any, moment: datetime) -> bool:
    """Whether a trade, unread yet, says that it is older than this; False where it does not say when it was."""
    said = entry.get("timestamp") if isinstance(entry, dict) else None
    return type(said) is int and said < moment.timestamp()


def listed(entries: Any, *, path: str) -> list[Any]:
    """The entries of a page, which is a list without anything round it; BadAnswer where it is none."""
    if not isinstance(entries, list):
        raise BadAnswer(f"GET {path}: not the shape that was expected (a list)")
    return entries


def market(entry: Any) -> MarketRow:
    """A row of Gamma's markets; raises ValueError."""
    payload = MarketPayload.model_validate(entry)
    outcomes, tokens, prices = payload.outcomes, payload.clob_token_ids, payload.outcome_prices
    yes = next((place for place, outcome in enumerate(outcomes) if outcome.casefold() == YES), 0)
    status = _status(payload)
    return MarketRow(
        kind="binary",
        external_id=payload.id,
        title=payload.question,
        status=status,
        volume=_volume(payload),
        closes_at=payload.end_date,
        resolved_at=payload.closed_time if status == "resolved" else None,
        yes_token=_of(outcomes, tokens, yes, "clobTokenIds") or None,
        no_token=(_of(outcomes, tokens, 1 - yes, "clobTokenIds") or None) if len(tokens) == 2 else None,
        condition_id=payload.condition_id,
        price=_of(outcomes, prices, yes, "outcomePrices") if any(prices) else None,
        slug=payload.slug,
    )


def trade(entry: Any) -> TradeRow:
    """A row of the Data API's trades; raises ValueError."""
    payload = TradePayload.model_validate(entry)
    return TradeRow(
        key=_key(payload),
        market=payload.condition_id,
        side=payload.side,
        outcome=payload.outcome or "",
        price=payload.price,
        size=payload.size,
        usd=money(payload.size, payload.price),
        traded_at=payload.timestamp,
        wallet=payload.proxy_wallet,
    )


def book(payload: Any, *, path: str) -> Book:
    """An order book, both sides from their best price on, in whichever order they came; raises BadAnswer."""
    given = read(BookPayload, payload, path)
    return Book(
        at=given.timestamp,
        bids=tuple(sorted(_levels(given.bids), key=lambda level: -level.price)),
        asks=tuple(sorted(_levels(given.asks), key=lambda level: level.price)),
    )


def history(payload: Any, *, path: str) -> list[Price]:
    """Prices over time, the oldest first; a bad point is left out, a bad page raises BadAnswer."""
    entries = read(HistoryPayload, payload, path).history or []
    points, _ = each(entries, PointPayload.model_validate, name="t")
    prices: dict[datetime, Decimal] = {point.t: point.p for point in points}
    return [Price(at=at, price=price) for at, price in sorted(prices.items())]


def _status(payload: MarketPayload) -> Status:
    if not payload.closed:
        return "open"
    decided = set(payload.outcome_prices) == {0, 1}
    return "resolved" if decided or payload.uma_resolution_status == "resolved" else "closed"


def _volume(payload: MarketPayload) -> Decimal:
    """The text, which is exact, before the number; a market without either was never traded."""
    return next((volume for volume in (payload.volume, payload.volume_num) if volume is not None), Decimal(0))


def _of(outcomes: Sequence[str], values: Sequence[Any], place: int, name: str) -> Any:
    """What belongs to the outcome at this place; None where no such values were given."""
    if outcomes and values and len(values) != len(outcomes):
        raise ValueError(f"{name}: {len(values)} for {len(outcomes)} outcomes")
    return values[place] if values else None


def _key(payload: TradePayload) -> str:
    """One transaction can hold several fills, and there is no id: these together tell trades apart."""
    amounts = (f"{amount:f}".rstrip("0").rstrip(".") for amount in (payload.size, payload.price))
    return ":".join((payload.transaction_hash, payload.asset, payload.proxy_wallet or "", payload.side, *amounts))


def _levels(levels: Sequence[LevelPayload] | None) -> list[Level]:
    return [Level(price=level.price, size=level.size) for level in levels or () if level.size]
