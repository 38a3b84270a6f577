"""The envelope that Opinion's answers travel in: an error has HTTP 200, `errno` and no result."""

from typing import Any

from markets.simulator.reply import Refusal, Reply, Unknown, as_json

BAD_PARAMETER = 10_000
UNKNOWN = 10_200
INTERNAL = 10_001


def success(result: dict[str, Any]) -> Reply:
    return as_json({"errmsg": "", "errno": 0, "result": result})


def failure(errno: int, message: str) -> Reply:
    return as_json({"errmsg": message, "errno": errno, "result": None})


def refuse(refusal: Refusal) -> Reply:
    return failure(UNKNOWN if isinstance(refusal, Unknown) else BAD_PARAMETER, str(refusal))


def rows(page: list[dict[str, Any]], total: int) -> Reply:
    """A list; an empty one is null, as the exchange says it."""
    return success({"list": page or None, "total": total})


def data(row: dict[str, Any]) -> Reply:
    return success({"data": row})
