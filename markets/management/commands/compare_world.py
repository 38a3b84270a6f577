"""`manage.py compare_world`: is the database what the simulated exchanges say it should be?"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from markets.simulator.comparing import SHOWN, Comparison, compare
from markets.simulator.truth import EXCHANGES

FAILED = 1


class Command(BaseCommand):
    """Parses, calls compare, prints."""

    help = "Compare the database with the world of a running simulator. Exit codes: 0 equal, 1 not, 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", required=True, help="the simulator's origin, such as http://127.0.0.1:8700")
        parser.add_argument("--exchange", choices=EXCHANGES, help="only this one (default: all)")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, **options: Any) -> None:
        names = [options["exchange"]] if options["exchange"] else EXCHANGES
        least = Decimal(str(settings.WHALE_TRADE_MIN_USD))
        try:
            results = [compare(f"{options['url'].rstrip('/')}/control", name, least=least) for name in names]
        except (requests.RequestException, ValueError) as error:
            raise CommandError(f"the simulator gave no answer: {error}", returncode=FAILED) from error
        self._print(results, options["json"])
        if any(result.differences for result in results):
            raise CommandError("the database is not what the world is", returncode=FAILED)

    def _print(self, results: list[Comparison], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps([result.as_json() for result in results]))
            return
        for result in results:
            counts = f"{result.markets} markets and {result.trades} trades compared"
            self.stdout.write(f"{result.exchange}: {counts}, {len(result.differences)} differences")
            for difference in result.differences[:SHOWN]:
                self.stdout.write(f"  {difference}")
