"""An answer before it is written to the wire, and the envelope that answers travel in."""

import json
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"

BAD_PARAMETER = 10_000
UNKNOWN = 10_200
INTERNAL = 10_001


@dataclass(frozen=True)
class Reply:
    """Status, body and headers, and what a fault makes of their way to the client."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    cut: bool = False
    """Half of the body is sent under the Content-Length of the whole."""
    dropped: bool = False
    """The connection is closed without an answer."""


class ApiError(Exception):
    """What the exchange refuses: answered with HTTP 200, `errno` and no result."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno = errno


def as_json(content: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(content, separators=(",", ":")).encode(), status)


def success(result: dict[str, Any]) -> Reply:
    return as_json({"errmsg": "", "errno": 0, "result": result})


def failure(errno: int, message: str) -> Reply:
    return as_json({"errmsg": message, "errno": errno, "result": None})


def rows(page: list[dict[str, Any]], total: int) -> Reply:
    """A list; an empty one is null, as the exchange says it."""
    return success({"list": page or None, "total": total})


def data(row: dict[str, Any]) -> Reply:
    return success({"data": row})


def gateway(status: int, words: str, **headers: str) -> Reply:
    """What the gateway before the exchange says by itself: a page, not the envelope."""
    page = f"<html><head><title>{status} {words}</title></head><body><h1>{words}</h1></body></html>"
    return Reply(page.encode(), status, "text/html", {name.replace("_", "-"): text for name, text in headers.items()})
