"""The rows in an answer of any exchange, and what can be wrong with them."""

import re
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]

IDS = ("marketId", "id", "ticker", "transactionHash", "trade_id")
TITLES = ("marketTitle", "question", "title")
LISTS = ("list", "markets", "trades", "history", "candlesticks")
AMOUNT = re.compile(r"volume|price|size|_fp$|_dollars$|liquidity", re.IGNORECASE)
MOMENT = re.compile(r"^(timestamp|createdAt|cutoffAt|resolvedAt|created_time|close_time|closedTime|endDate)$")


def rows_of(content: Any) -> list[Any]:
    """The rows of a page, to be changed in place; [] where it has none."""
    if isinstance(content, list):
        return content
    inside = content.get("result", content) if isinstance(content, dict) else None
    if not isinstance(inside, dict):
        return []
    return next((inside[name] for name in LISTS if isinstance(inside.get(name), list)), [])


def named(rows: list[Any]) -> bool:
    """Whether these are markets or trades."""
    return bool(rows) and isinstance(rows[0], dict) and any(name in rows[0] for name in IDS)


def mistyped(content: Any) -> Any:
    """The same with its outermost types exchanged, below the envelope if it has one."""
    if isinstance(content, dict) and "errno" in content:
        return content | {"result": _mistyped_result(content["result"])}
    if isinstance(content, list):
        return {"first": content}
    page = next((name for name in LISTS if isinstance(content.get(name), list)), None)
    return content | {page: {"first": content[page]}, "cursor": 7} if page else [content]


def _mistyped_result(result: Any) -> Any:
    if not isinstance(result, dict):
        return "none"
    if "list" in result:
        return {"list": {"first": result["list"]}, "total": "several"}
    return result | {"data": [result["data"]]} if "data" in result else [result]


def _changed(row: Row, change: Callable[[str, Any], Any], fields: re.Pattern[str] = AMOUNT) -> Row:
    """The row with the numbers in these fields changed; what is no number stays."""
    return {
        name: change(name, value) if fields.search(name) and _is_number(value) else value for name, value in row.items()
    }


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(re.fullmatch(r"[0-9.]+", value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _as(text: str, number: Any) -> Callable[[str, Any], Any]:
    """A text where there was one, else a number."""
    return lambda name, value: text if isinstance(value, str) else number


BREAKS: tuple[Callable[[Row], Any], ...] = (
    lambda row: {name: value for name, value in row.items() if name not in IDS},
    lambda row: _changed(row, _as("plenty", "plenty")) | {"volume": "plenty"},
    lambda row: str([row.get(name) for name in TITLES]),
    lambda row: row | dict.fromkeys([name for name in (*TITLES, "conditionId") if name in row]),
)
"""The ways in which a row is spoiled, taken in turn."""

ABSURD: tuple[Callable[[Row], Row], ...] = (
    lambda row: _changed(row, lambda name, value: f"-{value}1" if isinstance(value, str) else -value - 1),
    lambda row: _changed(row, _as("9" * 60, 10**60)),
    lambda row: _changed(row, _as("NaN", float("nan"))),
    lambda row: _changed(row, _as("1e400", float("inf"))),
    lambda row: {name: 10**17 if MOMENT.search(name) else value for name, value in row.items()},
    lambda row: _changed(row, _as("7" * 5_000, -(10**4_000))),
)
"""The numbers that a row may hold, taken in turn."""


def break_rows(page: list[Any], count: int) -> None:
    _in_turn(page, count, BREAKS)


def make_absurd(page: list[Any], count: int) -> None:
    _in_turn(page, count, ABSURD)


def repeat(page: list[Any], count: int) -> None:
    page[count:count] = page[:count]


def _in_turn(page: list[Any], count: int, ways: tuple[Callable[[Row], Any], ...]) -> None:
    for place in range(min(count, len(page))):
        page[place] = ways[place % len(ways)](page[place])
