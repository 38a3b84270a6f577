"""`manage.py stream_trades`: keep Opinion's large trades as they are matched, from its WebSocket."""

from __future__ import annotations

import signal
from functools import partial
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from markets import conf
from markets.exceptions import Refused
from markets.exchanges.opinion.stream import Stream
from markets.trades import write_slice

FAILED, WRONG_USE = 1, 2
EXCHANGE = "opinion"


class Command(BaseCommand):
    """Parses, runs a Stream, ends it on SIGTERM or Ctrl-C."""

    help = (
        "Keep Opinion's trades of at least WHALE_TRADE_MIN_USD as its WebSocket tells of them, until Ctrl-C or "
        "SIGTERM. Run it on one host. Exit codes: 0 ended, 1 the key was refused, 2 wrong use."
    )

    def handle(self, **options: Any) -> None:
        opinion = conf.opinion()
        if not opinion.key:
            raise CommandError(
                "OPINION_API_KEY is empty, and Opinion's stream needs a key; without one, sync_trades samples trades",
                returncode=WRONG_USE,
            )
        stop = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        keep = partial(write_slice, EXCHANGE)
        stream = Stream(opinion.stream_url, opinion.key, keep=keep, least_usd=conf.whale_trade_min_usd())
        try:
            stream.run(stop)
        except Refused as error:
            raise CommandError(str(error), returncode=FAILED) from None
