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
from scheduling.cluster import journal
from scheduling.cluster.errors import insist
from scheduling.cluster.journal import Entry
from scheduling.cluster.lastly import Group
from scheduling.cluster.passes import Pass
from scheduling.cluster.unwinding import Anew, Lost
from scheduling.exceptions import JobCanceled

if TYPE_CHECKING:
    from scheduling.cluster.executor import Run

MOST_TOGETHER = 50  # passes whose journals are read at once


def run(runs: Sequence[Run]) -> int:
    """Drive workflows, one after the other, until each waits or has ended; gives how many were come to.

    The rest was taken back meanwhile, or waits for the next call, as the first have been long enough on their way.
    """
    some, group = runs[:MOST_TOGETHER], Group()
    journals, now = {}, None
    if len(some) > 1:
        journals = insist(lambda: journal.read([one.claim.id for one in some]))
        now = insist(clock.now)
    began, begun = time.monotonic(), 0
    for one in some:
        if group.is_due or not one.hold():
            break
        begun += 1
        moment = None if now is None else now + timedelta(seconds=time.monotonic() - began)
        _drive(one, group if len(some) > 1 else None, journals.get(one.claim.id), moment)
    group.write()
    for one in group.failed:
        fresh = type(one)(one.claim)
        if not fresh.hold():
            break
        _drive(fresh)
    return begun


def _drive(
    one: Run, group: Group | None = None, entries: Sequence[Entry] | None = None, now: datetime | None = None
) -> None:
    """Drive a workflow until it waits or has ended; `entries` and `now` are its journal and the time, if just read."""
    from scheduling.replay import drive  # the language that bodies are written in stands above

    careful = False
    try:
        while True:
            one.began = time.monotonic()
            if entries is None:
                entries = insist(lambda: journal.read([one.claim.id]))[one.claim.id]
            this = Pass(one, entries, now or insist(clock.now), careful=careful, group=group)
            try:
                drive(this)
                return
            except Anew as anew:
                if anew.transient:
                    _released(one, anew)
                    return
                if careful:
                    one.failed(anew.__cause__ or anew)
                    return
                careful, entries, now = True, None, None
            finally:
                this.abandon()
    except (Lost, JobCanceled):
        one.dropped("interrupted, or taken over")
    except BaseException as error:
        one.broken(error)


def _released(one: Run, anew: Anew) -> None:
    """The database failed it: it is driven again after a short wait."""
    if not clock.database().in_atomic_block:
        clock.database().close_if_unusable_or_obsolete()
    one.released(anew.__cause__ or anew, one.claim.crashes + 1)
