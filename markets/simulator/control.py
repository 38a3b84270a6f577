"""The control endpoint: how a test or a person disturbs the exchange.

| request | what it does |
|---|---|
| GET /control/state | the moment, the active faults, requests by status (0 = dropped) and by path |
| POST /control/faults {"fault": name, ...} | sets a fault: names and options in `faults.py` |
| DELETE /control/faults | clears all faults |
| POST /control/step {"seconds": n} | moves a frozen world ahead |
| POST /control/key {"key": text} | sets the only valid key; "" = none is |

A fault may also say how long it lasts ("requests": n, "seconds": n; else until cleared) and where
("path": prefix). Every request is answered with the state after it; one that makes no sense with
HTTP 400 and {"error": why}. It is for the machine's own use: there is no password, and no limit.
"""

import json
from collections.abc import Callable
from typing import Any

from markets.simulator.exchange import Exchange
from markets.simulator.faults import Fault
from markets.simulator.reply import Reply, as_json

PREFIX = "/control/"
Content = dict[str, Any]


def answer(exchange: Exchange, method: str, path: str, body: bytes) -> Reply:
    action = ACTIONS.get((method, path.removeprefix(PREFIX)))
    if not action:
        return as_json({"error": "no such control"}, 404)
    try:
        action(exchange, _content(body))
    except (ValueError, TypeError) as error:
        return as_json({"error": str(error)}, 400)
    return as_json(exchange.state())


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
    ("POST", "key"): _set_key,
}
