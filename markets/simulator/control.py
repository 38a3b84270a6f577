"""The control endpoint: how a test or a person disturbs the exchanges, and learns what is true.

| request | what it does |
|---|---|
| GET /control/state | the moment, the active faults, requests by status (0 = dropped) and by path |
| POST /control/faults {"fault": name, ...} | sets a fault: names and options in `faults.py` and `effects.py` |
| DELETE /control/faults | clears all faults |
| POST /control/step {"seconds": n} | moves a frozen world ahead |
| POST /control/freeze {"frozen": true or false} | lets time stand still, or go on from there |
| POST /control/key {"key": text} | sets the only valid key; "" = none is |
| GET /control/world?exchange=name | what a database should hold, as JSON lines: see `truth.py` |

A fault may also say how long it lasts ("requests": n, "seconds": n; else until cleared) and where
("exchange": name, "path": prefix). Every request is answered with the state after it; one that makes no sense
with HTTP 400 and {"error": why}. `world` takes `since` (epoch seconds) and `least` (dollars) for its trades.
It is for the machine's own use: there is no password, and no limit.
"""

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from markets.simulator import truth
from markets.simulator.exchange import Exchange
from markets.simulator.faults import Fault
from markets.simulator.query import Query
from markets.simulator.reply import Reply, Unusable, as_json

PREFIX = "/control/"
LINES = "application/x-ndjson"
Content = dict[str, Any]


def answer(exchange: Exchange, method: str, path: str, query: str, body: bytes) -> Reply:
    control = path.removeprefix(PREFIX)
    action = ACTIONS.get((method, control))
    try:
        if (method, control) == ("GET", "world"):
            return _world(exchange, Query(query))
        if not action:
            return as_json({"error": "no such control"}, 404)
        action(exchange, _content(body))
    except (ValueError, TypeError, Unusable) as error:
        return as_json({"error": str(error)}, 400)
    return as_json(exchange.state())


def _world(exchange: Exchange, query: Query) -> Reply:
    try:
        least = Decimal(query.text("least", "0"))
    except InvalidOperation as error:
        raise ValueError("least is a number of dollars") from error
    since = query.number("since", 0) if "since" in query else None
    rows = truth.rows(exchange, query.text("exchange"), since, least)
    return Reply(content_type=LINES, stream=(json.dumps(row).encode() + b"\n" for row in rows))


def _content(body: bytes) -> Content:
    content = json.loads(body or b"{}")
    if not isinstance(content, dict):
        raise ValueError("an object is wanted")
    return content


def _show(exchange: Exchange, content: Content) -> None:
    pass


def _set_fault(exchange: Exchange, content: Content) -> None:
    exchange.faults.add(Fault(**content))


def _clear(exchange: Exchange, content: Content) -> None:
    exchange.faults.clear()


def _step(exchange: Exchange, content: Content) -> None:
    seconds = content.get("seconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise ValueError("seconds is a whole number")
    exchange.clock.step(seconds)


def _freeze(exchange: Exchange, content: Content) -> None:
    frozen = content.get("frozen")
    if not isinstance(frozen, bool):
        raise ValueError("frozen is true or false")
    exchange.clock.freeze(frozen)


def _set_key(exchange: Exchange, content: Content) -> None:
    key = content.get("key")
    if not isinstance(key, str):
        raise ValueError("key is a text")
    exchange.key = key


ACTIONS: dict[tuple[str, str], Callable[[Exchange, Content], None]] = {
    ("GET", "state"): _show,
    ("POST", "faults"): _set_fault,
    ("DELETE", "faults"): _clear,
    ("POST", "step"): _step,
    ("POST", "freeze"): _freeze,
    ("POST", "key"): _set_key,
}
