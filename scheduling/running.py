"""What a running function may know and say of itself: `scheduling.context`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from scheduling import clock, jsontext
from scheduling.exceptions import ScheduleLimitExceeded
from scheduling.redaction import redact

MOST_CALLS = 1000
MOST_BYTES = 8 << 20
T = TypeVar("T")

SAY_EVERY = 0.5  # seconds between two writes of progress, and between two looks for a cancel


@dataclass
class Execution:
    """One attempt under way, in this process."""

    job_id: int
    attempt: int
    claim: int
    writes: bool
    """Whether progress is written as it comes: not inside a mutation, whose writes nobody sees before its end."""
    scheduled_calls: int = 0
    scheduled_bytes: int = 0
    timeout: float | None = None
    """Seconds."""
    began: float = field(default_factory=time.monotonic)
    said_at: float = 0.0
    looked_at: float = field(default_factory=time.monotonic)
    canceled: bool = False
    say: Callable[[str], None] | None = None
    """Writes progress where the body runs in an event loop, which also sets `canceled`; None: we ask the database."""
    deadline: datetime | None = None
    """When it times out, by the database's clock, where that is known already."""


_current: ContextVar[Execution | None] = ContextVar("scheduling_execution", default=None)


def current() -> Execution | None:
    """The attempt that runs here; None outside of one."""
    return _current.get()


def count_scheduled(calls: int, size: int) -> None:
    """Count what the running function schedules; ScheduleLimitExceeded past 1,000 calls or 8 MiB of arguments.

    Outside of a function nothing is counted.
    """
    current = _current.get()
    if current is None:
        return
    calls, size = current.scheduled_calls + calls, current.scheduled_bytes + size
    if calls > MOST_CALLS or size > MOST_BYTES:
        raise ScheduleLimitExceeded(
            f"job {current.job_id} would have scheduled {calls:,} calls with {size:,} bytes of arguments; "
            f"one execution may {MOST_CALLS:,} and {MOST_BYTES:,}: schedule in steps, or a batch"
        )
    current.scheduled_calls, current.scheduled_bytes = calls, size


def begin(execution: Execution) -> Token[Execution | None]:
    """From now on `context` speaks of this attempt."""
    return _current.set(execution)


def end(token: Token[Execution | None]) -> None:
    """What `begin` gave this is over."""
    _current.reset(token)


@contextmanager
def executing(execution: Execution) -> Iterator[Execution]:
    """Make this the attempt that `context` speaks of."""
    token = begin(execution)
    try:
        yield execution
    finally:
        end(token)


class Context:
    """The running attempt, as its body sees it. Outside of one, job_id is None and the rest does nothing."""

    @property
    def job_id(self) -> int | None:
        """The id of the job that runs."""
        current = _current.get()
        return None if current is None else current.job_id

    @property
    def attempt(self) -> int | None:
        """The number of this attempt, from 1."""
        current = _current.get()
        return None if current is None else current.attempt

    @property
    def deadline(self) -> datetime | None:
        """When this attempt times out, by the database's clock; None where it has no timeout."""
        current = _current.get()
        if current is None or current.timeout is None:
            return None
        if current.deadline:
            return current.deadline
        left = current.began + current.timeout - time.monotonic()
        return _blocking(clock.now) + timedelta(seconds=left)

    def canceled(self) -> bool:
        """Whether the job is no longer ours, as it was canceled. Asks the database at most twice a second."""
        current = _current.get()
        if current is None or current.canceled or current.say or time.monotonic() - current.looked_at < SAY_EVERY:
            return bool(current and current.canceled)
        current.looked_at = time.monotonic()
        current.canceled = _blocking(lambda: _claim_of(current.job_id)) != ("in_progress", current.claim)
        return current.canceled

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the work is, for people to see. Written at most twice a second, and the last (done = total).

        `note` is cut to 200 characters, and secrets are taken out. Of a mutation nothing is written, as nobody
        would see it before its end.
        """
        current = _current.get()
        if current is None or not current.writes:
            return
        if done != total and time.monotonic() - current.said_at < SAY_EVERY:
            return
        current.said_at = time.monotonic()
        said = jsontext.dumps({"done": done, "total": total, "note": redact(str(note))[:200]})
        if current.say:
            current.say(said)
        else:
            _blocking(lambda: write_progress(current, said))


context = Context()


def _claim_of(job_id: int) -> tuple[str, int] | None:
    with clock.database().cursor() as cursor:
        cursor.execute("SELECT state, claim FROM scheduling_job WHERE id = %s", [job_id])
        row: tuple[str, int] | None = cursor.fetchone()
    return row


def write_progress(execution: Execution, said: str) -> None:
    """Write how far an attempt is, while its claim is ours."""
    with clock.database().cursor() as cursor:
        cursor.execute(
            "UPDATE scheduling_job SET progress = %s WHERE id = %s AND claim = %s AND state = 'in_progress'",
            [said, execution.job_id, execution.claim],
        )


def _blocking(look: Callable[[], T]) -> T:
    """Ask the database; from inside an event loop on a thread, as Django refuses it there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return look()

    def there() -> T:
        try:
            return look()
        finally:
            clock.database().close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(there).result()
