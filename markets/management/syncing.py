"""What the commands of syncs share: their options, what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from markets import turns
from markets.exceptions import SyncFailed
from markets.results import SyncResult
from scheduling import scheduler

FAILED, WRONG_USE = 1, 2


class SyncCommand(BaseCommand):
    """Parses, calls the sync or the scheduler, prints."""

    feed: ClassVar[str]
    function: ClassVar[str]
    """What --enqueue schedules."""
    unit: ClassVar[str]
    """What its progress counts."""

    def sync(self, exchange: str | None, **options: Any) -> list[SyncResult]:
        """Sync one exchange, or all."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--exchange", metavar="NAME", help="only this one, such as opinion")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument("--enqueue", action="store_true", help="let the cluster do it, and print the job's id")

    def handle(self, **options: Any) -> None:
        exchange, as_json = options["exchange"], options["json"]
        there = turns.syncable(self.feed)
        if exchange is not None and exchange not in there:
            known = ", ".join(there) or "none"
            raise CommandError(f"no exchange {exchange!r} is enabled; there is {known}", returncode=WRONG_USE)
        if options["enqueue"]:
            enqueue(self, self.function, {"exchange": exchange} if exchange else None, as_json=as_json)
            return
        try:
            with progress_on_stderr(self.stderr, self.feed, self.unit) as report:
                results = self.sync(exchange, progress=report)
        except SyncFailed as failure:
            if failure.results:
                self._print(failure.results, as_json)
            raise CommandError(str(failure), returncode=FAILED) from failure
        self._print(results, as_json)

    def _print(self, results: list[SyncResult], as_json: bool) -> None:
        if as_json:
            given = [result.as_json() for result in results]
            self.stdout.write(json.dumps(given[0] if len(given) == 1 else given))
            return
        for result in results:
            self.stdout.write(
                f"{result.exchange}: {result.seen} seen, {result.created} created, {result.updated} updated, "
                f"{result.unchanged} unchanged, {result.rejected} rejected; "
                f"{result.requests} requests, {result.seconds:.1f} s"
            )


def enqueue(command: BaseCommand, function: str, args: dict[str, Any] | None = None, *, as_json: bool) -> None:
    """Schedule a function, and print the id of its job."""
    job = scheduler.now(function, args)
    command.stdout.write(json.dumps({"job": job.id}) if as_json else str(job.id))


@contextmanager
def progress_on_stderr(stderr: Any, what: str, unit: str) -> Iterator[Callable[[float, float | None, str], None]]:
    """A bar where stderr is a terminal, else a line for each step."""
    if not stderr.isatty():
        yield lambda done, total, note: stderr.write(f"{note}, {done:.0f} of {_whole(total)} {unit}")
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, note: bar.update(task, completed=done, total=total, description=note)


def _whole(total: float | None) -> str:
    return f"{total:.0f}" if total else "?"
