"""Ends a running body from outside: JobTimeout by its own timer, JobCanceled or Slow by a signal from the pusher.

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
from types import FrameType
from typing import NamedTuple

from scheduling.cluster import slots
from scheduling.cluster.places import Pair
from scheduling.exceptions import JobCanceled, JobTimeout

STUBBORN_AFTER = 5.0  # seconds that a body has to let go once it has been interrupted


class Slow(KeyboardInterrupt):
    """What this body shares its transaction with has waited for it long enough: all is rolled back.

    The others may have locked what they themselves, given back meanwhile, wait for elsewhere.
    """


class _Armed(NamedTuple):
    """The body that runs and has not been interrupted yet: each is at most once."""

    pair: Pair
    timeout: float | None
    due: float | None
    """By time.monotonic()."""
    shares: bool
    """Whether bodies before it wait for its end in their transaction."""


_armed: _Armed | None = None
_timed = False  # whether timers may be set


def listen() -> None:
    """Let this worker process be told by its pusher (its main thread, before it takes work)."""
    signal.signal(signal.SIGUSR1, _on_pusher)


@contextmanager
def timers() -> Iterator[None]:
    """While the block runs, bodies may have timeouts: for many at once, as setting this up costs more than they do.

    Outside of a main thread nothing can be raised: the sentinel alone enforces them.
    """
    global _timed
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _timed = signal.getsignal(signal.SIGALRM), True
    try:
        yield
    finally:
        _timed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def arm(pair: Pair, timeout: float | None, *, shares: bool) -> None:
    """From now on the body of this (job, claim) may be interrupted; `timeout` is in seconds."""
    global _armed
    due = None if timeout is None else time.monotonic() + timeout
    _armed = _Armed(pair, timeout, due, shares)
    if slots.mine:
        slots.mine.run(due)
        if slots.mine.canceled(pair):  # the signal came before this line
            raise JobCanceled
    if timeout is not None and _timed:
        if signal.getsignal(signal.SIGALRM) is not _on_timeout:  # a body may have taken it
            signal.signal(signal.SIGALRM, _on_timeout)
        signal.setitimer(signal.ITIMER_REAL, timeout)


def disarm() -> None:
    """The body has ended. Its timer may go on: it finds nothing armed, or what is not due yet."""
    global _armed
    _armed = None
    if slots.mine:
        slots.mine.let_go()


def timed_out(seconds: float | None) -> JobTimeout:
    """What a body gets, and the job's error says, past its timeout."""
    return JobTimeout(f"timeout: it ran for {seconds:g} s")


def _on_timeout(_number: int, _frame: FrameType | None) -> None:
    global _armed
    if _armed is not None and _armed.due is not None and time.monotonic() >= _armed.due:
        seconds, _armed = _armed.timeout, None
        raise timed_out(seconds)


def _on_pusher(_number: int, _frame: FrameType | None) -> None:
    global _armed
    if _armed is None or slots.mine is None:
        return
    if slots.mine.canceled(_armed.pair):
        _armed = None
        raise JobCanceled("canceled")
    if _armed.shares and slots.mine.taken_back:
        _armed = None
        raise Slow
