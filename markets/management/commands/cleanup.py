"""`manage.py cleanup`: remove what has been kept for long enough now, or hand it to the cluster."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.cleanup import cleanup
from markets.management.syncing import enqueue


class Command(BaseCommand):
    """Parses, calls cleanup or the scheduler, prints."""

    help = (
        "Remove sync logs and failed sync runs older than 2 days and other finished runs older than their time, "
        "and thin prices by age. Exit codes: 0 done, 1 failed, 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument("--enqueue", action="store_true", help="let the cluster do it, and print the job's id")

    def handle(self, **options: Any) -> None:
        if options["enqueue"]:
            enqueue(self, "markets.cleanup", as_json=options["json"])
            return
        removed = cleanup(lambda gone, kind: self.stderr.write(f"{gone} rows removed, now {kind}"))
        if options["json"]:
            self.stdout.write(json.dumps(removed.as_json()))
            return
        self.stdout.write(
            f"removed {removed.sync_logs} sync logs, {removed.runs} finished runs and {removed.prices} prices"
        )
