"""Ends a running body from outside: JobTimeout by its own timer, JobCanceled by a signal from the pusher.

An error is raised only while the body that it is meant for runs: the handlers look at what is armed, and
arming and disarming stand inside the executor's try. A body that does not let go is ended with its process,
by the sentinel (see `Slot.overdue`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from scheduling.cluster import slots
from scheduling.exceptions import JobCanceled, JobTimeout

STUBBORN_AFTER = 5.0  # seconds that a body has to let go once it has been interrupted


@dataclass
class _Armed:
    """The body that runs, and whether it has been interrupted already: each is at most once."""

    pair: tuple[int, int]
    timeout: float | None


_armed: _Armed | None = None


def listen() -> None:
    """Let this worker process be told of cancels (its main thread, before it takes work)."""
    signal.signal(signal.SIGUSR1, _on_cancel)


@contextmanager
def interruptible(pair: tuple[int, int], timeout: float | None) -> Iterator[None]:
    """While the block runs, the body of this (job, claim) may be interrupted.

    `timeout` is in seconds. Outside of a main thread nothing can be raised: the sentinel alone enforces it.
    """
    global _armed
    timed = timeout is not None and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, _on_timeout) if timed else None
    try:
        _armed = _Armed(pair, timeout)
        if slots.mine:
            slots.mine.run(time.monotonic() + timeout if timeout is not None else None)
            if slots.mine.canceled(pair):  # the signal came before this line
                raise JobCanceled
        if timed and timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, timeout)
        yield
    finally:
        _armed = None
        if slots.mine:
            slots.mine.let_go()
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def timed_out(seconds: float | None) -> JobTimeout:
    """What a body gets, and the job's error says, past its timeout."""
    return JobTimeout(f"timeout: it ran for {seconds:g} s")


def _on_timeout(_number: int, _frame: FrameType | None) -> None:
    global _armed
    if _armed is not None:
        seconds, _armed = _armed.timeout, None
        raise timed_out(seconds)


def _on_cancel(_number: int, _frame: FrameType | None) -> None:
    global _armed
    if _armed is not None and slots.mine is not None and slots.mine.canceled(_armed.pair):
        _armed = None
        raise JobCanceled("canceled")
