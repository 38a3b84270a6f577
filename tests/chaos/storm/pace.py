"""How long the work of what was killed lies still, and how soon the speed is what it was."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.chaos.ledger import Entry
from tests.chaos.storm.evidence import Evidence
from tests.chaos.storm.finding import Finding, Findings


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How long the work of a process that was killed lay still."""

    kind: str
    job: int
    at: float
    seconds: float
    alone: bool
    """Whether no other fault was near, that might have held it up."""


def recoveries(e: Evidence) -> list[Recovery]:
    """For each body that was under way in a killed process: the time until its attempt was settled, or begun again."""
    open_lines = _unended(e)
    found = []
    for fault in e.faults:
        near = [
            other
            for other in e.faults
            if other is not fault and other.began < fault.ended + 2 and other.ended > fault.began - 5
        ]
        alone = all(other.kind in ("kill worker", "kill pusher", "kill monitor") for other in near)
        for line in (line for pid in fault.killed for line in open_lines.get(pid, [])):
            settled = _settled(e, line)
            if line.moment < fault.began and settled is not None and settled > fault.began:
                found.append(
                    Recovery(kind=fault.kind, job=line.job, at=fault.began, seconds=settled - fault.began, alone=alone)
                )
    return found


def _unended(e: Evidence) -> dict[int, list[Entry]]:
    """By process: the begins of bodies that have no end."""
    ended = {(line.job, line.claim, line.pid) for line in e.all_lines() if line.phase != "begin"}
    found = defaultdict(list)
    for line in e.all_lines():
        if line.phase == "begin" and (line.job, line.claim, line.pid) not in ended:
            found[line.pid].append(line)
    return found


def _settled(e: Evidence, line: Entry) -> float | None:
    """When what became of an attempt was written, or when the job was begun again."""
    row = e.jobs.get(line.job)
    times = [other.moment for other in e.lines[line.job] if other.moment > line.moment and other.claim > line.claim]
    times += [past.finished_at for past in e.past.get(line.job, []) if past.finished_at > line.moment]
    if row and row.finished_at:
        times.append(row.finished_at)
    return min(times, default=None)


def the_dead_are_replaced_in_time(e: Evidence, process: float = 2.0, host: float = 30.0) -> Findings:
    """The jobs of a dead process go on within 2 s, those of a dead host within 30 s."""
    for recovery in recoveries(e):
        limit = process if recovery.kind == "kill worker" and recovery.alone else host
        if recovery.seconds > limit:
            words = f"{recovery.kind}: its work went on after {recovery.seconds:.1f} s, and {limit:g} s is the most"
            yield Finding("recovery took too long", words, recovery.job, recovery.at)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How many jobs ended in a second, after a fault and of those that were due then."""

    fault: str
    at: float
    ended: float
    due: float
    waiting: Counter[str]
    """What was due in that time and had not ended at its end, by function."""

    @property
    def share(self) -> float:
        return self.ended / self.due


SETTLES_AFTER = 5.0  # seconds after a fault
LEAST_WINDOW = 2.0


def speeds(e: Evidence) -> list[Speed]:
    """The speed from 5 s after each fault until the next one, beside that of the load."""
    jobs = [row for row in e.jobs.values() if row.state != "skipped"]
    ends = sorted(row.finished_at for row in jobs if row.finished_at is not None)
    due = sorted(row.run_at for row in jobs)
    found = []
    faults = sorted(e.faults, key=lambda fault: fault.began)
    for n, fault in enumerate(faults):
        following = faults[n + 1].began if n + 1 < len(faults) else e.load_ended
        start = max(other.ended for other in faults if other.began <= fault.began) + SETTLES_AFTER
        if following - start >= LEAST_WINDOW:
            asked, done = (bisect_left(times, following) - bisect_left(times, start) for times in (due, ends))
            seconds = following - start
            late = [row.name for row in jobs if start <= row.run_at < following <= (row.finished_at or following)]
            found.append(
                Speed(
                    fault=fault.kind,
                    at=start,
                    ended=done / seconds,
                    due=max(asked, 1) / seconds,
                    waiting=Counter(late),
                )
            )
    return found


def speed_comes_back(e: Evidence, least: float = 0.5) -> Findings:
    """5 s after a fault as much is done as is due (95% on a machine of one's own; looser on a shared one)."""
    measured = sorted(speeds(e), key=lambda speed: speed.share)
    if measured and (median := measured[len(measured) // 2].share) < least:
        yield Finding("speed does not come back", f"half of the faults leave less than {median:.0%} of it after 5 s")
