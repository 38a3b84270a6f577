"""What the dead leave behind: the claims of a dead worker, of a dead pusher, of a dead host.

Claims are compared with what the living hold. Whoever is wrongly taken for dead changes nothing when it
comes back: its claims are fenced.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Sequence, Set
from itertools import groupby
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from scheduling import clock, functions
from scheduling.clock import Now
from scheduling.cluster import failpoints, groups, journal, outcomes, process, transitions
from scheduling.cluster.claims import Claim
from scheduling.cluster.errors import held, is_transient
from scheduling.cluster.slots import Ended, Slot, Slots
from scheduling.cluster.transitions import Trace
from scheduling.conf import conf
from scheduling.models import Host, Job

logger = logging.getLogger("scheduling")

Pair = tuple[int, int]  # (job, claim)
AT_ONCE = 50  # rows in one transaction
NEEDED = ("name", "claim", "attempt", "crashes", "policy", "started_at", "process", "host")
MOST_STRAYS = 1000
TIMED_OUT = "timeout: it did not let go, and was ended with its process"
BLOCKED = "worker was ended, as its event loop was blocked"


def register(workers: int, pid: int) -> Host:
    """The row of a host whose sentinel is `pid`: the one that a pusher before this one wrote, or a new one."""
    there = own(pid)
    if there:
        return there
    now = clock.now()
    made = Host.objects.create(
        hostname=socket.gethostname(),
        workers=workers,
        started_at=now,
        beat_at=now,
        clock_ahead=clock.ahead(),
        **_can(),
        **_itself(pid),
    )
    logger.info("host.started host=%s pid=%s workers=%s", made.pk, pid, workers)
    return made


def own(pid: int) -> Host | None:
    """The row of the running host whose sentinel on this machine is `pid`."""
    return Host.objects.running().filter(**_itself(pid)).first()


def _can() -> dict[str, Any]:
    """What this host can run, in columns of its row."""
    served = conf().pools
    return {"functions": functions.names(), "pools": None if served is None else list(served)}


def _itself(pid: int) -> dict[str, Any]:
    return {"machine": process.machine(), "pid": pid, "pid_started": process.started_at(pid)}


def beat(host_id: int) -> bool:
    """Write that a host lives, and how its clock stands; False where another host has found it dead."""
    return Host.objects.running().filter(pk=host_id).update(clock_ahead=clock.ahead(), beat_at=Now()) == 1


def worker(host_id: int, slot: Slot, sent: Iterable[Pair]) -> None:
    """Settle what a dead worker left: what it ran has crashed, the others are given back."""
    left = set(sent) | slot.pairs()
    running = slot.held if slot.running else None
    rows = [row for row in _claims(host_id, [job for job, _claim in left]) if (row.id, row.claim) in left]
    if slot.ended == Ended.TIMEOUT:  # of a workflow it was a step's: its journal knows of which
        late = [row for row in rows if (row.id, row.claim) == running]
        _each([row for row in late if functions.get(row.name).kind != "workflow"], _time_out)
    words = process.describe_exit(slot.exit_code)
    if slot.ended == Ended.BLOCKED:
        _each([row for row in rows if (row.id, row.claim) in slot.late()], _time_out)
        words = BLOCKED
    _settle(rows, words, running={running} if running else set(), begun=slot.begun())


def _time_out(row: Job) -> None:
    """A body that did not let go after its timeout was ended with its process: a failure like another."""
    outcomes.failed(functions.get(row.name), _claim(row), TIMED_OUT, Trace(process=row.process), cut_off=True)


def orphans(host_id: int, slots: Slots, in_flight: set[Pair]) -> None:
    """Give back the claims of a host that no worker has, and that are on the way to none.

    What a worker had that has died since the dead ones were settled is theirs, see worker(): it alone knows what ran.
    """
    claims = _claims(host_id)  # read before the slots: what is claimed later is not looked at
    held = {pair for slot in slots.taken() for pair in slot.pairs()} | in_flight
    _settle([row for row in claims if (row.id, row.claim) not in held], "nobody had it any more", running=set())


def dead_hosts(own: Host, *, judge_silence: bool) -> list[Host]:
    """The hosts that are dead: on this machine by their process, elsewhere by a silent heartbeat (PostgreSQL).

    Silence is judged only by a host that has itself been heard for as long: when the database comes back
    after an outage, all have been silent.
    """
    others = Host.objects.running().exclude(pk=own.pk)
    if not others:  # fetches them
        return []
    here = [host for host in others if host.machine == own.machine]
    dead = [host for host in here if process.started_at(host.pid) != host.pid_started]
    if clock.database().vendor == "sqlite":  # one machine: whoever is of another start of it is gone
        dead += [host for host in others if process.boot(host.machine) != process.boot(own.machine)]
    elif judge_silence:
        silent = others.exclude(machine=own.machine).extra(
            where=["beat_at < clock_timestamp() - %s * interval '1 second'"], params=[conf().host_dead_after]
        )
        dead += list(silent)
    return dead


def host(dead: Host) -> None:
    """End the row of a dead host; its claims are settled by leftovers(), by whoever comes first."""
    if Host.objects.running().filter(pk=dead.pk).update(ended_at=Now()):
        logger.warning("host.died host=%s (%s)", dead.pk, dead)


def leftovers() -> None:
    """Settle the claims of ended hosts; each is fenced, so any number of rescuers may do it at once."""
    left = Job.objects.running().filter(host__ended_at__isnull=False, name__in=functions.names())
    for dead, rows in groupby(left.select_related("host").order_by("host"), key=lambda row: row.host):
        _settle(rows, f"host {dead} died", running=set())


def strays(own: Host) -> None:
    """Settle the claims of hosts whose row is gone: nobody can tell whether they live, and none beats for them."""
    known = Host.objects.filter(pk=OuterRef("host_id"))
    gone = Job.objects.running().exclude(host_id=own.pk).filter(~Exists(known), name__in=functions.names())
    for row in gone[:MOST_STRAYS]:
        _settle([row], f"host number {row.host_id} is not known any more", running=set())


def stopped(own: Host) -> None:
    """End the row of a host that stops, and give back what its grace was too short for.

    An action without a policy that had begun is failed; all else is pending again, and no attempt is counted.
    """
    Host.objects.filter(pk=own.pk).update(ended_at=Now())
    _each(_claims(own.pk), _stop)


def _stop(row: Job) -> None:
    function = functions.get(row.name)
    begun = function.kind == "action" and row.started_at is not None
    if begun and outcomes.policy_of(function, row.policy) is None:
        transitions.fail(_claim(row), "host was stopped", Trace(process=row.process), cut_off=True)
    elif transitions.release(_claim(row), begun=True) and function.kind == "workflow":
        journal.not_counted(row.pk)


def _claims(host_id: int, jobs: list[int] | None = None) -> list[Job]:
    """The claims of a host, by the database: of functions that we know, as their kind decides what is done."""
    claimed = Job.objects.running().filter(host_id=host_id, name__in=functions.names()).only(*NEEDED)
    return list(claimed if jobs is None else claimed.filter(pk__in=jobs))


def _settle(rows: Iterable[Job], words: str, *, running: set[Pair], begun: Set[Pair] = frozenset()) -> None:
    """Crash those whose body had begun: by their row, by `running`, or, of actions with a policy, by `begun`.

    An action's start is committed before its body, unless its claim is its start (see cluster.endings).
    """

    def crash(row: Job) -> None:
        function, pair = functions.get(row.name), (row.id, row.claim)
        has_begun = row.started_at is not None
        if function.kind in ("mutation", "workflow"):
            has_begun = has_begun or pair in running
        elif pair in begun:
            has_begun = has_begun or outcomes.policy_of(function, row.policy) is not None
        level = logging.WARNING if has_begun else logging.INFO  # what had not begun is only given back, uncounted
        logger.log(level, "job.rescued job=%s attempt=%s begun=%s: %s", row.id, row.attempt, has_begun, words)
        outcomes.crashed(function, _claim(row), words, Trace(process=row.process), begun=has_begun)

    _each(rows, crash)


def _each(rows: Iterable[Job], settle: Callable[[Job], None]) -> None:
    """Settle rows, some in one transaction: one that somebody has locked, or that fails, stops no other.

    What is left over is found again by the next look for orphans.
    """
    left = list(rows)
    while left:
        _some(left[:AT_ONCE], settle)
        left = left[AT_ONCE:]


def _some(rows: Sequence[Job], settle: Callable[[Job], None]) -> None:
    link = held()
    try:
        with transaction.atomic(using=conf().database):
            ours = groups.lock((row.id, row.claim) for row in rows)
            for row in rows:
                if (row.id, row.claim) in ours:
                    settle(row)
            if failpoints.on:
                failpoints.hit("rescue.before_commit")
    except Exception as error:
        if is_transient(error, held=link):
            raise
        if len(rows) == 1:
            logger.exception("job.not_rescued job=%s", rows[0].pk)
            return
        for row in rows:
            _some([row], settle)


def _claim(row: Job) -> Claim:
    return Claim(row.id, row.name, "", row.claim, row.attempt, row.crashes, row.policy)
