"""A clock and a randomness that tests set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from scheduling import backoff
from scheduling import clock as app_clock
from scheduling.cluster import ticker


class Clock:
    """`with testing.clock() as clock`: all that the app decides by time goes by a clock that the test moves.

    Inside it the crons of crons.py do not tick unless they are named; those that the test registers do.
    """

    @contextmanager
    def __call__(self, start: datetime | None = None, crons: Sequence[str] = ()) -> Iterator[Clock]:
        """Stop the clock at `start` (an aware datetime; the present by default) until the block ends.

        `crons` are the names of declared crons that are to tick. ValueError for a naive start.
        """
        if start is not None and start.utcoffset() is None:
            raise ValueError(f"a clock starts at an aware datetime (with a time zone), not {start!r}")
        before = (app_clock.now() if app_clock.is_set() else None, ticker.only_declared)
        app_clock.set_time(start or app_clock.now())
        ticker.only_declared = set(crons)
        try:
            yield self
        finally:
            app_clock.set_time(before[0])
            ticker.only_declared = before[1]

    def now(self) -> datetime:
        """The time by the clock in force."""
        return app_clock.now()

    def jump(self, seconds: float | timedelta) -> datetime:
        """Move the clock on by seconds or a timedelta; nothing runs meanwhile, as in an outage. Gives the new time.

        RuntimeError where no clock is in force.
        """
        if not app_clock.is_set():
            raise RuntimeError("no clock is in force: use `with testing.clock()`")
        moment = app_clock.now() + (seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds))
        app_clock.set_time(moment)
        return moment


clock = Clock()


@contextmanager
def random(u: float) -> Iterator[None]:
    """Fix the uniform number in [0, 1) behind all jitter, while the block lasts: 0.5 is the nominal wait.

    ValueError for a number outside.
    """
    if not 0 <= u < 1:
        raise ValueError(f"a uniform number is in [0, 1), not {u!r}")
    before = backoff.uniform
    backoff.uniform = lambda: u
    try:
        yield
    finally:
        backoff.uniform = before
