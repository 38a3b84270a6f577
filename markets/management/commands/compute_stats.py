"""`manage.py compute_stats`: compute the statistics now, or hand it to the cluster."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.functions import compute_stats
from markets.management.syncing import enqueue


class Command(BaseCommand):
    """Parses, calls compute_stats or the scheduler, prints."""

    help = "Compute what the markets come to, of each exchange and of all. Exit codes: 0 done, 1 failed, 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument("--enqueue", action="store_true", help="let the cluster do it, and print the job's id")

    def handle(self, **options: Any) -> None:
        if options["enqueue"]:
            enqueue(self, compute_stats.name, as_json=options["json"])
            return
        self.stderr.write("computing the statistics of all markets")
        stats = compute_stats()
        if options["json"]:
            self.stdout.write(json.dumps(stats))
            return
        price = stats["average_price"] or "not known"
        self.stdout.write(
            f"{stats['total_markets']} markets, {stats['active_markets']} of them active; "
            f"volume {stats['total_volume']}, average price {price}; computed at {stats['computed_at']}"
        )
