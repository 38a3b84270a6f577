"""Drives a workflow that has been claimed: from its journal to where it must wait, or ends.

A pass runs steps itself where nothing speaks against it (see passes). If the process dies, the journal tells the next
driver all that was committed. There is one driver at a time, whatever hosts believe of each other: each write locks
the workflow's row while its claim is that driver's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scheduling import clock
from scheduling.cluster import recall
from scheduling.cluster.errors import insist
from scheduling.cluster.journal import Journal
from scheduling.cluster.lastly import Group
from scheduling.cluster.passes import Pass
from scheduling.cluster.unwinding import Anew, Lost
from scheduling.exceptions import JobCanceled

if TYPE_CHECKING:
    from scheduling.cluster.executor import Run

MOST_TOGETHER = 100  # passes whose journals are read at once


def run(runs: Sequence[Run]) -> int:
    """Drive workflows, one after the other, until each waits or has ended; gives how many were come to.

    The rest was taken back meanwhile, or waits for the next call, as the first have been long enough on their way.
    """
    some, group = runs[:MOST_TOGETHER], Group()
    journals, now = {}, None
    if len(some) > 1:
        journals = insist(lambda: recall.read([one.claim.id for one in some]))
        now = insist(clock.now)
    began, left = time.monotonic(), {}
    for one in some:
        if group.is_due or not one.hold():
            break
        moment = None if now is None else now + timedelta(seconds=time.monotonic() - began)
        left[one] = _drive(one, group if len(some) > 1 else None, journals.get(one.claim.id), moment)
    group.write()
    for one in group.failed:
        fresh = type(one)(one.claim)
        if not fresh.hold():
            break
        left[one] = _drive(fresh)
    recall.keep({one.claim.id: journal for one, journal in left.items() if journal})
    return len(left)


def _drive(
    one: Run, group: Group | None = None, journal: Journal | None = None, now: datetime | None = None
) -> Journal | None:
    """Drive a workflow until it waits or has ended; `journal` and `now` are as they were just read.

    Gives the journal as the pass has left it, where it waits.
    """
    from scheduling.replay import drive  # the language that bodies are written in stands above

    careful = False
    try:
        while True:
            one.began = time.monotonic()
            if journal is None:
                journal = insist(lambda: recall.read([one.claim.id]))[one.claim.id]
            this = Pass(one, journal, now or insist(clock.now), careful=careful, group=group)
            try:
                drive(this)
                return journal if this.left else None
            except Anew as anew:
                if anew.transient:
                    _released(one, anew)
                    return None
                if careful:
                    one.failed(anew.__cause__ or anew)
                    return None
                careful, journal, now = True, None, None
            finally:
                this.abandon()
    except (Lost, JobCanceled):
        one.dropped("interrupted, or taken over")
    except BaseException as error:
        one.broken(error)
    return None


def _released(one: Run, anew: Anew) -> None:
    """The database failed it: it is driven again after a short wait."""
    if not clock.database().in_atomic_block:
        clock.database().close_if_unusable_or_obsolete()
    one.released(anew.__cause__ or anew, one.claim.crashes + 1)
