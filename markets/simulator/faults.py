"""Faults on demand: what each of them does to an answer, and which of them are active.

| fault | what happens | option (default) |
|---|---|---|
| broken_rows | the first rows of each page of GET /market are unusable | rows (1) |
| wrong_types | an object where the list belongs, a list where the object does, a string for a number | |
| errno | HTTP 200 with an error in the envelope | errno (10001) |
| http_error | a gateway's page | status (500) |
| too_many | HTTP 429 | retry_after (1 second) |
| not_json | HTTP 200 with a page | |
| slow | the answer comes late | delay (5 seconds) |
| cut | half of the body under the Content-Length of the whole, then the connection closes | |
| down | the connection closes without an answer | |

Where several are active they act in this order.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any

from markets.simulator.reply import INTERNAL, Reply, as_json, failure, gateway

LONGEST = 86_400  # seconds


@dataclass(kw_only=True)
class Fault:
    """A fault and how long it lasts: a number of requests, of seconds, or until it is cleared."""

    fault: str
    path: str = ""
    """Only paths below /openapi that begin so; "" = all of them."""
    requests: int | None = None
    """How many answers are still spoiled; None = no matter how many."""
    seconds: float | None = None
    """How long it lasts, from when it is set; None = no end."""
    rows: int = 1
    errno: int = INTERNAL
    status: int = 500
    delay: float = 5.0
    retry_after: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError for a name or a value that means nothing."""
        if self.fault not in EFFECTS:
            raise ValueError(f"no such fault: {self.fault!r} (one of {', '.join(EFFECTS)})")
        whole = (self.rows, self.errno, self.status, self.retry_after, self.requests or 0)
        if any(type(number) is not int or number < 0 for number in whole):
            raise ValueError("rows, errno, status, retry_after and requests are whole numbers from 0 up")
        spans = (self.delay, self.seconds or 0)
        if any(type(span) not in (int, float) or not 0 <= span <= LONGEST for span in spans):
            raise ValueError(f"delay and seconds are numbers from 0 to {LONGEST}")
        if not isinstance(self.path, str):
            raise ValueError("path is a text")
        self.path = self.path.removeprefix("/openapi")


def _errno(fault: Fault, answer: Reply) -> Reply:
    return failure(fault.errno, "the exchange is having trouble")


def _http_error(fault: Fault, answer: Reply) -> Reply:
    return gateway(fault.status, "Server Error")


def _slow(fault: Fault, answer: Reply) -> Reply:
    return replace(answer, delay_seconds=answer.delay_seconds + fault.delay)


def _cut(fault: Fault, answer: Reply) -> Reply:
    return replace(answer, cut=True)


def _too_many(fault: Fault, answer: Reply) -> Reply:
    return gateway(429, "Too Many Requests", Retry_After=str(fault.retry_after))


def _not_json(fault: Fault, answer: Reply) -> Reply:
    return gateway(200, "Back in a minute")


def _down(fault: Fault, answer: Reply) -> Reply:
    return replace(answer, dropped=True)


def _wrong_types(fault: Fault, answer: Reply) -> Reply:
    content = json.loads(answer.body)
    result = content["result"]
    if not isinstance(result, dict):
        content["result"] = "none"
    elif "list" in result:
        content["result"] = {"list": {"first": result["list"]}, "total": "several"}
    elif "data" in result:
        result["data"] = [result["data"]]
    else:
        content["result"] = [result]
    return as_json(content)


def _without_id(row: dict[str, Any]) -> Any:
    return {name: value for name, value in row.items() if name != "marketId"}


BREAKS: tuple[Callable[[dict[str, Any]], Any], ...] = (
    _without_id,
    lambda row: row | {"volume": "plenty"},
    lambda row: str(row.get("marketTitle")),
    lambda row: row | {"marketTitle": None},
)
"""The ways in which a row is spoiled, taken in turn."""


def _broken_rows(fault: Fault, answer: Reply) -> Reply:
    content = json.loads(answer.body)
    page = content["result"]["list"]
    for place in range(min(int(fault.rows), len(page))):
        page[place] = BREAKS[place % len(BREAKS)](page[place])
    return as_json(content)


EFFECTS: dict[str, Callable[[Fault, Reply], Reply]] = {
    "broken_rows": _broken_rows,
    "wrong_types": _wrong_types,
    "errno": _errno,
    "http_error": _http_error,
    "too_many": _too_many,
    "not_json": _not_json,
    "slow": _slow,
    "cut": _cut,
    "down": _down,
}
ORDER = tuple(EFFECTS)


def _has_rows(answer: Reply) -> bool:
    return bool((json.loads(answer.body)["result"] or {}).get("list"))


class Faults:
    """The active faults; one that is used up or out of time goes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._active: list[tuple[Fault, float]] = []
        self._lock = Lock()

    def add(self, fault: Fault) -> None:
        ends = float("inf") if fault.seconds is None else self._clock() + fault.seconds
        with self._lock:
            self._active.append((fault, ends))

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def active(self) -> list[dict[str, Any]]:
        with self._lock:
            self._forget()
            return [asdict(fault) for fault, _ in self._active]

    def spoil(self, path: str, answer: Reply) -> Reply:
        """The answer as the faults on this path leave it."""
        for fault in self._take(path, answer):
            answer = EFFECTS[fault.fault](fault, answer)
        return answer

    def _take(self, path: str, answer: Reply) -> list[Fault]:
        with self._lock:
            self._forget()
            taken = [fault for fault, _ in self._active if _hits(fault, path, answer)]
            for fault in taken:
                if fault.requests is not None:
                    fault.requests -= 1
        return sorted(taken, key=lambda fault: ORDER.index(fault.fault))

    def _forget(self) -> None:
        now = self._clock()
        self._active = [(fault, ends) for fault, ends in self._active if fault.requests != 0 and now < ends]


def _hits(fault: Fault, path: str, answer: Reply) -> bool:
    if not path.startswith(fault.path):
        return False
    return fault.fault != "broken_rows" or (path == "/market" and _has_rows(answer))
