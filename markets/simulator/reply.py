"""An answer before it is written to the wire, and the two ways in which a request is refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"


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
    drip_seconds: float = 0
    """Between each two bytes of the body; 0 = it is sent in one go."""
    stream: Iterator[bytes] | None = None
    """The body in parts, of a length that nobody knows yet; in place of `body`."""
    dropped: bool = False
    """The connection is closed without an answer."""


class Refusal(Exception):
    """What an exchange refuses, each in its own words and shape."""


class Unusable(Refusal):
    """A parameter that is missing, or means nothing."""


class Unknown(Refusal):
    """Nothing bears that name."""


def as_json(content: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(content, separators=(",", ":")).encode(), status)


def gateway(status: int, words: str, **headers: str) -> Reply:
    """What the gateway before the exchange says by itself: a page, not JSON."""
    page = f"<html><head><title>{status} {words}</title></head><body><h1>{words}</h1></body></html>"
    return Reply(page.encode(), status, "text/html", {name.replace("_", "-"): text for name, text in headers.items()})
