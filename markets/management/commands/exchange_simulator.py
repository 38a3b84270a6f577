"""`manage.py exchange_simulator`: the simulated exchanges as a process of their own."""

import signal
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from markets.simulator import running
from markets.simulator.limits import PUBLIC_RATE

FAILED, WRONG_USE = 1, 2


def moment(text: str) -> int:
    """Epoch seconds of an ISO time; UTC unless it says otherwise."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"not an ISO time: {text!r}") from error
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"not a whole number from 0 up: {text!r}")
    return int(text)


def port_number(text: str) -> int:
    number = natural(text)
    if number > 65_535:
        raise ArgumentTypeError(f"not a port: {text!r}")
    return number


class Command(BaseCommand):
    help = (
        "Serves simulated Opinion, Polymarket and Kalshi until Ctrl-C or SIGTERM. Prints Opinion's root, then every "
        "root as the environment variable that takes it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        add("--port", type=port_number, default=8700, help="0 = any free port (default: %(default)s)")
        add(
            "--seed",
            type=int,
            default=1,
            help="same seed, same world (default: %(default)s)",
        )
        add("--topics", type=natural, default=300, help="open at any moment, at each exchange (default: %(default)s)")
        add("--frozen", action="store_true", help="time stands still until POST /control/step")
        add("--start", type=moment, metavar="TIME", help="ISO time at which the world's time begins")
        add("--replay", type=Path, metavar="DIR", help="serve a folder of Opinion's recorded answers")
        add(
            "--rate",
            type=natural,
            default=PUBLIC_RATE,
            help="requests a second at Opinion for one address without a key, 0 = no limits (default: %(default)s)",
        )
        add("--key", default="", help="the valid API key (default: none is)")
        add(
            "--trades-per-minute",
            type=natural,
            default=600,
            metavar="N",
            help="at Polymarket, and at Kalshi, up to 10000 (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("host", "port", "seed", "topics", "frozen", "start", "replay", "rate", "key", "trades_per_minute")
        stopped = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        try:
            with running(**{name: options[name] for name in names}) as exchange:
                self.stdout.write("\n".join([exchange.url, *(f"{name}={url}" for name, url in exchange.roots.items())]))
                self.stdout.flush()
                stopped.wait()
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_USE) from error
        except OSError as error:
            where = f"{options['host']}:{options['port']}"
            raise CommandError(f"cannot listen on {where}: {error.strerror}", returncode=FAILED) from error
