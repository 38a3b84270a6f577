"""Waiting for jobs to end, with a bar where stderr is a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import Count

from scheduling.models import State
from scheduling.models.job import JobQuerySet

LOOK = 0.5  # seconds between two looks
UNFINISHED = (State.PENDING, State.IN_PROGRESS)
Report = Callable[[Counter[str]], None]


def follow(jobs: JobQuerySet, stderr: Any, *, quiet: bool = False) -> Counter[str]:
    """Wait until all have ended, and give how many ended how."""
    with _bar(jobs.count(), stderr, quiet=quiet) as report:
        while True:
            states = Counter(dict(jobs.values_list("state").annotate(Count("pk")).order_by()))
            report(states)
            if not any(states[state] for state in UNFINISHED):
                return states
            time.sleep(LOOK)


def in_words(states: Counter[str]) -> str:
    """`12 success, 1 failed`."""
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items(), reverse=True) if count) or "none"


@contextmanager
def _bar(total: int, stderr: Any, *, quiet: bool) -> Iterator[Report]:
    if quiet or not stderr.isatty():
        yield lambda states: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, force_terminal=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def report(states: Counter[str]) -> None:
            ended = total - sum(states[state] for state in UNFINISHED)
            bar.update(task, completed=ended, description=in_words(states))

        yield report
