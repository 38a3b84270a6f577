"""How fast the market jobs are, on both databases, against simulated exchanges: `make bench-markets` (TOPICS=50000)."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from config.embedded_postgres import start, stop

EXCHANGES = ("opinion", "polymarket", "kalshi")
PACED_TOPICS = 1_000
"""At Opinion, which allows the fewest requests: the others send so much in one that the limit bounds nothing."""
DATABASES = ("postgres", "sqlite")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=50_000, help="markets of each exchange (default: %(default)s)")
    parser.add_argument("--only", default="", help="some of full, trades, paced, changed, stats, by commas")
    parser.add_argument("--db", choices=DATABASES, help="one of them (default: both)")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else ["full", "trades", "paced", "changed", "stats"]
    table = Table("what", "database", "figures")
    for db in [options.db] if options.db else DATABASES:
        with database(db) as url:
            for name, exchange, figures in measured(url, only, options.topics):
                words = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
                print(f"{db} {name} {exchange}: {words}", file=sys.stderr, flush=True)
                table.add_row(f"{name} {exchange}", db, words)
    Console(width=150).print(table)


def measured(url: str, only: list[str], topics: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each measurement in turn; those of one world against one simulator."""
    environment = {"DATABASE_URL": url, "SECRET_KEY": "benchmark", "DEBUG": "0", "EXCHANGES": ",".join(EXCHANGES)}
    run("manage.py", "migrate", "-v0", **environment)
    if "full" in only:
        with simulator(topics, "--rate", "0", "--frozen") as roots:
            for exchange in EXCHANGES:
                yield "full", exchange, agent("full", exchange, **environment, **roots)
    if "trades" in only:
        with simulator(topics, "--trades-per-minute", "10000") as roots:
            for exchange in EXCHANGES:
                yield "trades", exchange, agent("trades", exchange, **environment, **roots)
    if "paced" in only:
        with simulator(PACED_TOPICS, "--frozen", "--seed", "2") as roots:
            yield "paced", "opinion", agent("paced", **environment, **roots)
    for name in ("changed", "stats"):
        if name in only:
            yield name, "", agent(name, **environment)


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of an empty database of this kind, which is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            yield f"sqlite:///{folder}/db.sqlite3"
            return
        yield start(Path(folder) / "server", keep=True)
        stop(Path(folder) / "server")


@contextmanager
def simulator(topics: int, *options: str) -> Iterator[dict[str, str]]:
    """The roots of simulated exchanges in a process of their own, by the environment variables that name them."""
    command = [sys.executable, "manage.py", "exchange_simulator", "--port", "0", "--topics", str(topics), *options]
    environment = os.environ | {"SECRET_KEY": "benchmark", "DEBUG": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        process.stdout.readline()
        lines = [process.stdout.readline().strip() for _ in range(6)]
        try:
            yield dict(line.split("=", 1) for line in lines)
        finally:
            process.terminate()


def agent(*arguments: str, **environment: str) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    figures: dict[str, Any] = json.loads(
        run("-m", "benchmarks.market_agent", *arguments, **environment).splitlines()[-1]
    )
    return figures


def run(*arguments: str, **environment: str) -> str:
    """What Python prints."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
