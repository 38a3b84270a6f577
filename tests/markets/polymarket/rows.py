"""Polymarket's rows as its contract words them, for tests to bend."""

from __future__ import annotations

import json
from typing import Any

LEFT_OUT = object()
"""A field that is not sent."""
NOON = 1_790_000_000


def changed(entry: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The entry with these fields in place of its own."""
    return {name: value for name, value in (entry | changes).items() if value is not LEFT_OUT}


def tokens(number: int) -> list[str]:
    """The ids of its YES and NO shares: as long as the real ones."""
    return [f"{number}1".rjust(77, "7"), f"{number}0".rjust(77, "8")]


def market_entry(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A market as Gamma lists it."""
    entry = {
        "id": str(500_000 + number),
        "question": f"Will it rain on day {number}?",
        "conditionId": f"0x{number:064x}",
        "slug": f"rain-on-day-{number}",
        "description": "Resolves to Yes if it rains.",
        "outcomes": json.dumps(["Yes", "No"]),
        "outcomePrices": json.dumps(["0.6255", "0.3745"]),
        "clobTokenIds": json.dumps(tokens(number)),
        "volume": "12345.678901",
        "volumeNum": 12345.678901,
        "volume24hr": 77.25,
        "bestBid": 0.62,
        "bestAsk": 0.631,
        "lastTradePrice": 0.63,
        "active": True,
        "closed": False,
        "negRisk": False,
        "startDate": "2026-09-01T08:30:00.25Z",
        "createdAt": "2026-08-31T19:32:28.841694Z",
        "endDate": "2026-12-31T12:00:00Z",
        "endDateIso": "2026-12-31",
        "umaResolutionStatuses": "[]",
        "feeType": None,
        "events": [{"id": "9", "title": "Rain"}],
    }
    return changed(entry, changes)


def trade_entry(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A trade as the Data API lists it, of $1,500."""
    entry = {
        "proxyWallet": f"0x{number:040x}",
        "side": "BUY",
        "asset": tokens(1)[0],
        "conditionId": f"0x{1:064x}",
        "size": 3000,
        "price": 0.5,
        "timestamp": NOON,
        "title": "Will it rain on day 1?",
        "slug": "rain-on-day-1",
        "outcome": "Yes",
        "outcomeIndex": 0,
        "name": "",
        "pseudonym": "Grey-Cloud",
        "transactionHash": f"0x{number:064x}",
    }
    return changed(entry, changes)
