"""The ends of quick actions that have a retry policy: written beside the bodies, in groups.

Such an action is at least once, so its claim is its start, and its end need not be committed before the next body:
a thread with a connection of its own writes what has ended meanwhile. If the process dies, its slot tells what had
begun (`Slot.begun`): what had ended, too, but was not written, has failed with it and is tried again by its policy.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from scheduling import clock
from scheduling.cluster import transitions
from scheduling.cluster.errors import insist

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scheduling.cluster.executor import Run

logger = logging.getLogger("scheduling")

MOST = 50  # ends in one statement
LONG = 0.1  # seconds after which a body that still runs has its start written, for people to see


class Endings:
    """Takes the ends of bodies from a worker's main thread."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Run | None] = SimpleQueue()
        self._left = 0  # what is not written yet
        self._change = threading.Condition()
        self._open = self._closing = False
        self._at: tuple[Run, float] | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Some bodies are about to begin."""
        if self._thread is None:  # in the worker, as threads are not inherited
            self._thread = threading.Thread(target=self._write, name="endings", daemon=True)
            self._thread.start()
        self._open = True
        self._inbox.put(None)  # so that it does not sleep for ever

    def begin(self, run: Run) -> None:
        """This body begins now."""
        self._at = run, time.monotonic()

    def success(self, run: Run) -> None:
        """This body has ended with `run.result`: that is written soon."""
        with self._change:
            self._left += 1
        self._inbox.put(run)

    def settle(self) -> None:
        """Return when all that has ended is written."""
        self._at, self._open = None, False
        with self._change:
            self._change.wait_for(lambda: not self._left)

    def close(self) -> None:
        """End the thread, with its connection, until the next open()."""
        if self._thread:
            self._closing = True
            self._inbox.put(None)
            self._thread.join()
            self._thread, self._closing = None, False

    def _write(self) -> None:
        try:
            while not self._closing:
                self._say_start()
                if ended := self._take():
                    self._end(ended)
                    with self._change:
                        self._left -= len(ended)
                        self._change.notify()
        except BaseException as error:  # nobody would write: the worker ends, and is rescued
            logger.critical("endings.broken pid=%s", os.getpid(), exc_info=error)
            os._exit(1)
        finally:
            clock.database().close()

    def _take(self) -> Sequence[Run]:
        """What has ended, at most MOST; nothing where a body takes long."""
        ended: list[Run] = []
        wait: float | None = LONG if self._open else None
        with suppress(Empty):
            while len(ended) < MOST:
                if run := self._inbox.get(timeout=wait):
                    ended.append(run)
                elif self._closing:
                    break
                wait = 0
        return ended

    def _say_start(self) -> None:
        """Write the start of a body that has been running for long, once."""
        at = self._at
        if at and time.monotonic() - at[1] > LONG:
            claim = at[0].claim
            insist(lambda: transitions.start(claim, os.getpid()))
            if self._at is at:
                self._at = None

    def _end(self, ended: Sequence[Run]) -> None:
        """Write some ends together; where that fails, each by itself."""
        try:
            written = insist(lambda: transitions.finish_some([(run.claim, run.result, run.trace()) for run in ended]))
        except Exception as error:
            if len(ended) == 1:
                ended[0].broken(error)
                return
            for run in ended:
                self._end([run])
            return
        for run in ended:
            if run.claim.id not in written:
                logger.warning("job.dropped job=%s: it ended, but had been canceled or taken over", run.claim.id)


endings = Endings()
"""Of this process."""
