"""Faults on demand: which of them are active, and for whom. What each of them does stands in `effects.py`."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from markets.simulator import noise
from markets.simulator.effects import EFFECTS, ORDER, ROW_EFFECTS, SHIFTS, has_rows
from markets.simulator.reply import Reply

LONGEST = 86_400  # seconds
MIXED = "mixed"
NAMES = (*SHIFTS, *EFFECTS, MIXED)
WHOLE = ("rows", "errno", "status", "retry_after", "megabytes", "seed")


@dataclass(kw_only=True)
class Fault:
    """A fault and how long it lasts: a number of requests, of seconds, or until it is cleared."""

    fault: str
    exchange: str = ""
    """Only the answers of this exchange; "" = of all of them."""
    path: str = ""
    """Only paths below the root that begin so; "" = all of them."""
    requests: int | None = None
    """How many answers are still spoiled; None = no matter how many."""
    seconds: float | None = None
    """How long it lasts, from when it is set; None = no end."""
    rows: int = 1
    errno: int = 10_001
    status: int = 500
    delay: float = 5.0
    retry_after: int = 1
    megabytes: int = 9
    to: str = "http://elsewhere.invalid"
    """Where a redirect leads."""
    chance: float = 0.3
    """How many answers a mix spoils."""
    seed: int = 1
    """The same seed, the same mix."""
    drawn: int = 0
    """How many answers a mix has had so far."""

    def __post_init__(self) -> None:
        """Raises ValueError for a name or a value that means nothing."""
        if self.fault not in NAMES:
            raise ValueError(f"no such fault: {self.fault!r} (one of {', '.join(NAMES)})")
        whole = [getattr(self, name) for name in WHOLE] + [self.requests or 0]
        if any(type(number) is not int or number < 0 for number in whole):
            raise ValueError(f"{', '.join(WHOLE)} and requests are whole numbers from 0 up")
        spans = (self.delay, self.seconds or 0)
        if any(type(span) not in (int, float) or not 0 <= span <= LONGEST for span in spans):
            raise ValueError(f"delay and seconds are numbers from 0 to {LONGEST}")
        if type(self.chance) not in (int, float) or not 0 <= self.chance <= 1:
            raise ValueError("chance is a number from 0 to 1")
        if not all(isinstance(text, str) for text in (self.path, self.exchange, self.to)):
            raise ValueError("path, exchange and to are texts")
        self.path = self.path.removeprefix("/openapi")

    def hits(self, exchange: str, path: str) -> bool:
        return self.exchange in ("", exchange) and path.startswith(self.path)

    def draw(self) -> "Fault | None":
        """What a mix does to its next answer; None: nothing. Called with the lock of `Faults` held."""
        self.drawn += 1
        key = (self.seed, "mixed", self.drawn)
        if not noise.chance(self.chance, *key):
            return None
        return Fault(
            fault=noise.pick([name for name in NAMES if name != MIXED], *key, "fault"),
            rows=noise.integer(1, 5, *key, "rows"),
            status=noise.pick((500, 502, 503), *key, "status"),
            delay=self.delay * noise.unit(*key, "delay"),
            retry_after=self.retry_after,
            megabytes=self.megabytes,
            to=self.to,
        )


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

    def on(self, exchange: str, path: str) -> list[Fault]:
        """The faults that meet a request for this path, in the order in which they act."""
        found = []
        with self._lock:
            self._forget()
            for fault in [fault for fault, _ in self._active if fault.hits(exchange, path)]:
                drawn = fault.draw() if fault.fault == MIXED and _use(fault) else fault
                if drawn and drawn.fault != MIXED:
                    found.append(drawn)
        return sorted(found, key=lambda fault: ORDER.index(fault.fault))

    def shift(self, faults: list[Fault]) -> int:
        """By how many rows the pages behind the first have moved."""
        moved = [fault for fault in faults if fault.fault in SHIFTS and self._used(fault)]
        return sum(SHIFTS[fault.fault] * fault.rows for fault in moved)

    def spoil(self, faults: list[Fault], answer: Reply) -> Reply:
        """The answer as these faults leave it. One that needs rows waits for an answer that has some."""
        for fault in faults:
            idle = fault.fault in SHIFTS or (fault.fault in ROW_EFFECTS and not has_rows(answer))
            if not idle and self._used(fault):
                answer = EFFECTS[fault.fault](fault, answer)
        return answer

    def _used(self, fault: Fault) -> bool:
        with self._lock:
            return _use(fault)

    def _forget(self) -> None:
        now = self._clock()
        self._active = [(fault, ends) for fault, ends in self._active if fault.requests != 0 and now < ends]


def _use(fault: Fault) -> bool:
    """Count it as used once more; False where it was used up meanwhile."""
    if fault.requests is None:
        return True
    if fault.requests == 0:
        return False
    fault.requests -= 1
    return True
