"""`manage.py sync_markets`: copy the markets now, or hand it to the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

from markets.exceptions import SyncFailed
from markets.results import SyncResult
from markets.sync import Progress as Report
from markets.sync import sync_exchanges, syncable

FAILED, WRONG_USE = 1, 2


class Command(BaseCommand):
    """Parses, calls sync_exchanges or the scheduler, prints."""

    help = "Copy the markets of the enabled exchanges, or of one. Exit codes: 0 done, 1 failed, 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--exchange", metavar="NAME", help="only this one, such as opinion")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument("--enqueue", action="store_true", help="let the cluster do it, and print the job's id")

    def handle(self, **options: Any) -> None:
        exchange, as_json = options["exchange"], options["json"]
        if exchange is not None and exchange not in syncable():
            known = ", ".join(syncable()) or "none"
            raise CommandError(f"no exchange {exchange!r} is enabled; there is {known}", returncode=WRONG_USE)
        if options["enqueue"]:
            self._enqueue(exchange, as_json)
            return
        try:
            with progress_on_stderr(self.stderr) as report:
                results = sync_exchanges(exchange, progress=report)
        except SyncFailed as failure:
            if failure.results:
                self._print(failure.results, as_json)
            raise CommandError(str(failure), returncode=FAILED) from failure
        self._print(results, as_json)

    def _enqueue(self, exchange: str | None, as_json: bool) -> None:
        from scheduling import scheduler

        job = scheduler.now("markets.sync_markets", {"exchange": exchange} if exchange else None)
        self.stdout.write(json.dumps({"job": job.id}) if as_json else str(job.id))

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


@contextmanager
def progress_on_stderr(stderr: Any) -> Iterator[Report]:
    """A bar where stderr is a terminal, else a line for each page."""
    if not stderr.isatty():
        yield lambda done, total, note: stderr.write(f"{note}, {done} of {total or '?'} topics")
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("markets", total=None)
        yield lambda done, total, note: bar.update(task, completed=done, total=total, description=note)
