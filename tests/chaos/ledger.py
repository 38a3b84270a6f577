"""What bodies did, written outside of the database, and compared with what the database says of it.

A line is one O_APPEND write: `job_id attempt claim phase monotonic pid`. Phases: "begin" is the first thing that a
body does and "end" the last; a test may have others.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from django.contrib.auth.models import Group
from django.db.models import QuerySet

from scheduling import functions
from scheduling.cluster import outcomes
from scheduling.models import Job, State
from scheduling.running import current

BEGIN, END = "begin", "end"
OURS = "chaos."  # the names of tests.chaos.deeds begin with it
TOLD = "chaos.told"


class Entry(NamedTuple):
    """One line."""

    job: int
    attempt: int
    claim: int
    phase: str
    moment: float
    """time.monotonic(), the same in all processes of a machine."""
    pid: int


def note(file: str | Path, phase: str) -> None:
    """Append a line of the body that runs here."""
    run = current()
    assert run, "only a body notes"
    line = f"{run.job_id} {run.attempt} {run.claim} {phase} {time.monotonic():.6f} {os.getpid()}\n"
    handle = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def read(file: str | Path, phase: str = "", job: int | None = None) -> list[Entry]:
    """The lines in order of their writing: of a phase, or of a job, where that is given."""
    path = Path(file)
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    entries = [Entry(int(a), int(b), int(c), d, float(e), int(f)) for a, b, c, d, e, f in lines]
    return [one for one in entries if phase in ("", one.phase) and job in (None, one.job)]


def effect() -> None:
    """The one row that a mutation leaves in the database for each time that it was applied."""
    run = current()
    assert run, "only a body has effects"
    Group.objects.create(name=f"effect {run.job_id} {os.getpid()} {time.monotonic_ns()}")


def effects() -> Counter[int]:
    """How often each job's effect has been applied, by its id."""
    names = Group.objects.filter(name__startswith="effect ").values_list("name", flat=True)
    return Counter(int(name.split()[1]) for name in names)


def check(file: str | Path, *, ended: bool = True) -> list[str]:
    """What of the ledger and of the database does not agree, in words; empty where all is well.

    Looked at are all jobs of tests.chaos.deeds; with `ended` each must have ended.
    """
    entries: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in read(file):
        entries[entry.job].append(entry)
    applied, told = (
        effects(),
        Counter(args["run_id"] for args in _all().filter(name=TOLD).values_list("args", flat=True)),
    )
    return [
        f"job {job.pk} ({job.name}, {job.state}): {word}"
        for job in _all().order_by("pk")
        for word in [*_state(job, ended), *_bodies(job, entries[job.pk], applied[job.pk]), *_told(job, told)]
    ]


def _all() -> QuerySet[Job]:
    return Job.objects.filter(name__startswith=OURS).exclude(state=State.SKIPPED)


def _state(job: Job, ended: bool) -> list[str]:
    words = []
    if ended and not job.is_final:
        words.append("it has not ended")
    policy = outcomes.policy_of(functions.get(job.name), job.policy)
    most = 1 + (policy.max_failures if policy else 0)
    if job.attempt > most:
        words.append(f"{job.attempt} attempts of at most {most}")
    if job.crashes > functions.get(job.name).options.max_crashes:
        words.append(f"it ended {job.crashes} processes")
    return words


def _bodies(job: Job, entries: list[Entry], applied: int) -> list[str]:
    """A body begins once for each claim; a mutation is applied once if and only if it succeeded."""
    begun = Counter((entry.attempt, entry.claim) for entry in entries if entry.phase == BEGIN)
    ends = {entry.claim for entry in entries if entry.phase == END}
    function = functions.get(job.name)
    words = []
    if job.state == State.SUCCESS and job.claim not in ends:
        words.append(f"it succeeded by claim {job.claim}, whose body never ended")
    if function.kind == "mutation":
        if applied != (job.state == State.SUCCESS):
            words.append(f"its effect was applied {applied} times")
        return words
    words += [f"the body of claim {claim} began {times} times" for (_, claim), times in begun.items() if times > 1]
    if outcomes.policy_of(function, job.policy) is None and len(begun) > 1:
        words.append(f"it has no policy, and began {len(begun)} times")
    return words + _overlaps(entries)


def _overlaps(entries: list[Entry]) -> list[str]:
    """Two bodies of one action at the same time, each of which came to its end."""
    spans = defaultdict(dict)
    for entry in entries:
        spans[entry.claim][entry.phase] = entry.moment
    whole = sorted((span[BEGIN], span[END], claim) for claim, span in spans.items() if {BEGIN, END} <= span.keys())
    return [
        f"the bodies of claims {one[2]} and {other[2]} overlap" for one, other in pairwise(whole) if other[0] < one[1]
    ]


def _told(job: Job, told: Counter[str]) -> list[str]:
    """Its on_complete is scheduled once, if and only if it has ended."""
    times = told[str(job.pk)]
    return [] if times == bool(job.on_complete and job.is_final) else [f"its on_complete was scheduled {times} times"]
