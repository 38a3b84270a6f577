"""Drives a workflow that has been claimed: from its journal to where it must wait, or ends.

A pass runs steps itself where nothing speaks against it (see passes). If the process dies, the journal tells the next
driver all that was committed. There is one driver at a time, whatever hosts believe of each other: each write locks
the workflow's row while its claim is that driver's.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from scheduling import clock
from scheduling.cluster import transitions
from scheduling.cluster.errors import first_line, insist
from scheduling.cluster.passes import Pass
from scheduling.cluster.unwinding import Anew, Lost
from scheduling.exceptions import JobCanceled

if TYPE_CHECKING:
    from scheduling.cluster.executor import Run

logger = logging.getLogger("scheduling")


def run(one: Run) -> int:
    """Drive a workflow until it waits or has ended; gives 0 where it was taken back before it began."""
    from scheduling.replay import drive  # the language that bodies are written in stands above

    if not one.hold():
        return 0
    careful = False
    try:
        while True:
            one.began = time.monotonic()
            this = Pass(one, careful=careful)
            try:
                drive(this)
                return 1
            except Anew as anew:
                if anew.transient:
                    _released(one, anew)
                    return 1
                if careful:
                    one.failed(anew.__cause__ or anew)
                    return 1
                careful = True
            finally:
                this.abandon()
    except (Lost, JobCanceled):
        one.dropped("interrupted, or taken over")
    except BaseException as error:
        one.broken(error)
    return 1


def _released(one: Run, anew: Anew) -> None:
    """The database failed it: it is driven again after a short wait."""
    if not clock.database().in_atomic_block:
        clock.database().close_if_unusable_or_obsolete()
    releases = one.claim.crashes + 1
    wait = timedelta(seconds=min(0.05 * 2.0 ** min(releases, 20), 30.0))
    if insist(lambda: transitions.release(one.claim, wait=wait)):
        logger.info("job.released job=%s pid=%s: %s", one.claim.id, os.getpid(), first_line(anew.__cause__ or anew))
