"""Opinion's rows as its contract words them, and our own, for tests to bend."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from markets.exchanges.rows import MarketRow, Slice, TradeRow

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def child_entry(number: int = 11, **changed: Any) -> dict[str, Any]:
    """A market below a topic, as it is listed."""
    entry = {
        "marketId": number,
        "marketTitle": f"Option {number}",
        "status": 2,
        "statusEnum": "Activated",
        "volume": "12.5",
        "cutoffAt": 0,
        "resolvedAt": 0,
        "createdAt": 1_780_000_000,
        "yesTokenId": "7" * 77,
        "noTokenId": "8" * 76,
        "yesLabel": "YES",
        "noLabel": "NO",
        "slug": f"option-{number}",
        "conditionId": "",
        "resultTokenId": "",
        "rules": "",
        "chainId": "56",
        "rebate": {"maker": 0.5},
    }
    return entry | changed


def binary_entry(number: int = 1, **changed: Any) -> dict[str, Any]:
    """A binary market, as it is listed."""
    topic = {"marketType": 0, "childMarkets": None, "cutoffAt": 1_798_675_200, "labels": ["Weather"]}
    return child_entry(number) | topic | {"marketTitle": f"Question {number}"} | changed


def topic_entry(number: int = 2, *children: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A categorical topic, as it is listed."""
    blank = {"marketType": 1, "yesTokenId": "", "noTokenId": "", "yesLabel": "", "noLabel": ""}
    return binary_entry(number) | blank | {"childMarkets": list(children)} | changed


def envelope(*entries: Any, total: int | None = None) -> dict[str, Any]:
    """A page of the catalogue."""
    result = {"list": list(entries), "total": len(entries) if total is None else total}
    return {"errmsg": "", "errno": 0, "result": result}


def row(number: int = 1, **changed: Any) -> MarketRow:
    """A market as it is written."""
    fields = {
        "kind": "binary",
        "external_id": str(number),
        "title": f"Question {number}",
        "status": "open",
        "volume": Decimal("12.500000000000000001"),
        "yes_token": "7" * 77,
    }
    return MarketRow(**fields | changed)


def trade(number: int = 1, **changed: Any) -> TradeRow:
    """A trade as it is written; those of greater numbers came later."""
    fields = {
        "key": f"trade-{number}",
        "market": "1",
        "side": "buy",
        "outcome": "Yes",
        "price": Decimal("0.250000000000000001"),
        "size": Decimal(8000),
        "usd": Decimal("2000.000000000000008"),
        "traded_at": START + timedelta(seconds=number),
    }
    return TradeRow(**fields | changed)


class ScriptedTape:
    """A tape with these slices, which keeps what it was asked; an exception among them is raised in its turn."""

    def __init__(self, *slices: Slice | BaseException, requests: int = 0) -> None:
        self.script = slices
        self.wire = SimpleNamespace(requests=requests, secrets=())
        self.asked: list[dict[str, Any]] = []
        self.closed = 0

    def __call__(self) -> ScriptedTape:
        return self

    def slices(self, **asked: Any) -> Any:
        self.asked.append(asked)
        for slice in self.script:
            if isinstance(slice, BaseException):
                raise slice
            self.wire.requests += 1
            yield slice

    def close(self) -> None:
        self.closed += 1
