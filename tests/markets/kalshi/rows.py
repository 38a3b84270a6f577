"""Kalshi's rows as its contract words them, for tests to bend."""

from __future__ import annotations

from typing import Any

LEFT_OUT = object()
"""A field that is not sent."""
NOON = "2026-10-01T12:00:00Z"


def changed(entry: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The entry with these fields in place of its own."""
    return {name: value for name, value in (entry | changes).items() if value is not LEFT_OUT}


def market_entry(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A market as it is listed."""
    entry = {
        "ticker": f"KXRAIN-26OCT{number:02d}",
        "event_ticker": "KXRAIN-26OCT",
        "market_type": "binary",
        "title": f"Will it rain on October {number}?",
        "subtitle": "",
        "yes_sub_title": "Above 1 mm",
        "no_sub_title": "Above 1 mm",
        "status": "active",
        "result": "",
        "created_time": "0001-01-01T00:00:00Z",
        "updated_time": "0001-01-01T00:00:00Z",
        "open_time": "2026-09-01T15:00:00Z",
        "close_time": "2026-10-31T14:00:00Z",
        "last_price_dollars": "0.1150",
        "previous_price_dollars": "0.0000",
        "yes_bid_dollars": "0.1100",
        "yes_ask_dollars": "0.1200",
        "yes_bid_size_fp": "",
        "yes_ask_size_fp": "",
        "volume_fp": "40208.50",
        "volume_24h_fp": "85.00",
        "open_interest_fp": "16353.00",
        "tick_size": 1,
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    }
    return changed(entry, changes)


def trade_entry(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A trade as it is listed: 4,000 NO for $3,600."""
    entry = {
        "trade_id": f"00000000-0000-4000-8000-{number:012d}",
        "ticker": "KXRAIN-26OCT01",
        "count_fp": "4000.00",
        "yes_price_dollars": "0.1000",
        "no_price_dollars": "0.9000",
        "taker_side": "no",
        "taker_outcome_side": "no",
        "taker_book_side": "ask",
        "is_block_trade": False,
        "created_time": "2026-10-01T12:00:00.130131Z",
    }
    return changed(entry, changes)


def page(*markets: Any, cursor: Any = "") -> dict[str, Any]:
    """A page of markets."""
    return {"markets": list(markets), "cursor": cursor}


def tape(*trades: Any, cursor: Any = "") -> dict[str, Any]:
    """A page of trades."""
    return {"trades": list(trades), "cursor": cursor}
