"""What the dead leave behind: the claims of a dead worker, of a dead pusher, of a dead host.

Claims are compared with what the living hold. Whoever is wrongly taken for dead changes nothing when it
comes back: its claims are fenced.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from typing import Any

from scheduling import clock, functions
from scheduling.clock import Now
from scheduling.cluster import outcomes, process, transitions
from scheduling.cluster.slots import Ended, Slot, Slots
from scheduling.cluster.transitions import Claim, Trace
from scheduling.conf import conf
from scheduling.models import Host, Job

logger = logging.getLogger("scheduling")

Pair = tuple[int, int]  # (job, claim)
TIMED_OUT = "timeout: it did not let go, and was ended with its process"


def register(workers: int, pid: int) -> Host:
    """The row of a host whose sentinel is `pid`: the one that a pusher before this one wrote, or a new one."""
    there = own(pid)
    if there:
        return there
    now = clock.now()
    made = Host.objects.create(
        hostname=socket.gethostname(), workers=workers, started_at=now, beat_at=now, **_itself(pid)
    )
    logger.info("host.started host=%s pid=%s workers=%s", made.pk, pid, workers)
    return made


def own(pid: int) -> Host | None:
    """The row of the running host whose sentinel on this machine is `pid`."""
    return Host.objects.running().filter(**_itself(pid)).first()


def _itself(pid: int) -> dict[str, Any]:
    return {"machine": process.machine(), "pid": pid, "pid_started": process.started_at(pid)}


def beat(host_id: int) -> bool:
    """Write that a host lives; False where another host has found it dead and taken its jobs."""
    return Host.objects.running().filter(pk=host_id).update(beat_at=Now()) == 1


def worker(host_id: int, slot: Slot, sent: Iterable[Pair]) -> None:
    """Settle what a dead worker left: the job that it ran has crashed, the others are given back."""
    left = set(sent) | ({slot.held} if slot.held else set())
    running = slot.held if slot.running else None
    words = process.describe_exit(slot.exit_code)
    if slot.ended == Ended.TIMEOUT:
        words = _time_out(host_id, running)
    _settle(_claims(host_id, [job for job, _claim in left]), words, running={running} if running else set())


def _time_out(host_id: int, running: Pair | None) -> str:
    """A body that did not let go after its timeout was ended with its process: a failure like another."""
    for row in _claims(host_id, [running[0]] if running else []):
        if (row.id, row.claim) == running:
            outcomes.failed(functions.get(row.name), _claim(row), TIMED_OUT, Trace(process=row.process))
    return TIMED_OUT


def orphans(host_id: int, slots: Slots, in_flight: set[Pair]) -> None:
    """Give back the claims of a host that no living worker has, and that are on the way to none."""
    held = {slot.held for slot in slots.live()} | in_flight
    _settle([row for row in _claims(host_id) if (row.id, row.claim) not in held], "pusher died", running=set())


def dead_hosts(own: Host, *, judge_silence: bool) -> list[Host]:
    """The hosts that are dead: on this machine by their process, elsewhere by a silent heartbeat (PostgreSQL).

    Silence is judged only by a host that has itself been heard for as long: when the database comes back
    after an outage, all have been silent.
    """
    others = Host.objects.running().exclude(pk=own.pk)
    here = [host for host in others if host.machine == own.machine]
    dead = [host for host in here if process.started_at(host.pid) != host.pid_started]
    if judge_silence and clock.database().vendor == "postgresql":
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
    for row in left.select_related("host"):
        _settle([row], f"host {row.host} died", running=set())


def stopped(own: Host) -> None:
    """End the row of a host that stops, and give back what its grace was too short for.

    An action without a policy that had begun is failed; all else is pending again, and no attempt is counted.
    """
    Host.objects.filter(pk=own.pk).update(ended_at=Now())
    for row in _claims(own.pk):
        claim, function = _claim(row), functions.get(row.name)
        begun = function.kind == "action" and row.started_at is not None
        if begun and outcomes.policy_of(function, row.policy) is None:
            transitions.fail(claim, "host was stopped", Trace(process=row.process))
        else:
            transitions.release(claim)


def _claims(host_id: int, jobs: list[int] | None = None) -> list[Job]:
    """The claims of a host, by the database: of functions that we know, as their kind decides what is done."""
    claimed = Job.objects.running().filter(host_id=host_id, name__in=functions.names())
    return list(claimed if jobs is None else claimed.filter(pk__in=jobs))


def _settle(rows: Iterable[Job], words: str, *, running: set[Pair]) -> None:
    """Crash those whose body had begun, by their row or by `running`, and release the others."""
    for row in rows:
        begun = row.started_at is not None or (row.id, row.claim) in running
        function = functions.get(row.name)
        if function.kind == "action":
            begun = row.started_at is not None  # its start is committed before its body
        logger.warning("job.rescued job=%s attempt=%s begun=%s: %s", row.id, row.attempt, begun, words)
        outcomes.crashed(function, _claim(row), words, Trace(process=row.process), begun=begun)


def _claim(row: Job) -> Claim:
    return Claim(row.id, row.name, "", row.claim, row.attempt, row.crashes, row.policy)
