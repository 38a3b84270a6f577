"""The demo: a simulated exchange, workers and the web server as one process tree, on a database of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from config import embedded_postgres
from markets.simulator.handle import roots
from scheduling.cluster.process import die_with

FOLDER = Path(settings.BASE_DIR) / ".demo"
PASSWORD = FOLDER / "password"
POSTGRES = FOLDER / "postgres"
HOST = "127.0.0.1"
WEB_PORT, EXCHANGE_PORT = 8000, 8700
EXCHANGES = "opinion,polymarket,kalshi"
SYNC_EVERY = 30  # seconds
RESTART_PAUSE = 1.0
STOP_WITHIN = 10.0

Say = Callable[[str], None]


def database_url(kind: str) -> str:
    """The URL of the demo's database: the one in the environment, else ours of that kind, started if need be."""
    FOLDER.mkdir(exist_ok=True)
    if given := os.environ.get("DATABASE_URL"):
        return given
    if kind == "postgres":
        return embedded_postgres.start(POSTGRES, keep=True)
    return f"sqlite:///{FOLDER / 'db.sqlite3'}"


def forget(kind: str) -> None:
    """Remove the demo's own data; a database that the environment names is emptied by the caller."""
    if POSTGRES.exists():
        embedded_postgres.stop(POSTGRES)
    shutil.rmtree(FOLDER, ignore_errors=True)


def password() -> str:
    """The password of the demo's admin, the same at each start of one database."""
    if not PASSWORD.exists():
        PASSWORD.touch(mode=0o600)
        PASSWORD.write_text(secrets.token_urlsafe(9))
    return PASSWORD.read_text()


def free_port(wanted: int, say: Say) -> int:
    """The wanted port, or another free one where it is taken, which is said."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
            say(f"port {wanted} is taken: using {probe.getsockname()[1]}")
        return int(probe.getsockname()[1])


@dataclass
class Process:
    """One child of the demo, and how to start it again."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str]
    running: subprocess.Popen[bytes] | None = None
    died_at: float = 0.0

    @property
    def log(self) -> Path:
        """Where it writes."""
        return FOLDER / "log" / f"{self.name}.log"

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches the demo alone; it dies if the demo does."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(  # noqa: S603 - our own manage.py
                [sys.executable, str(settings.BASE_DIR / "manage.py"), *self.arguments],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: die_with(parent),
            )

    def stop(self) -> None:
        """Ask it to end; the demo waits for all together."""
        if self.running and self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Wait for its end, and make it so where it takes too long."""
        if self.running is None:
            return
        try:
            self.running.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()


@dataclass
class Tree:
    """All processes of the demo. One that dies is started again, as systemd would."""

    web_port: int
    exchange_port: int
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        environment = {
            "DEBUG": "0",
            "EXCHANGES": EXCHANGES,
            "OPINION_API_KEY": "",
        } | roots(f"http://{HOST}:{self.exchange_port}")
        commands = {
            "exchange": ["exchange_simulator", "--host", HOST, "--port", str(self.exchange_port)],
            "cluster": ["qcluster"],
            "web": ["runserver", "--noreload", f"{HOST}:{self.web_port}"],
        }
        self.processes = [Process(name, arguments, dict(environment)) for name, arguments in commands.items()]
        self.processes[-1].environment["DEBUG"] = "1"  # plain HTTP, and static files without collecting them

    def start(self) -> None:
        """Start all of them."""
        for process in self.processes:
            process.start()

    def mend(self, say: Say) -> None:
        """Start again whoever has died, a second later."""
        for process in self.processes:
            code = process.running.poll() if process.running else None
            if code is None:
                continue
            if not process.died_at:
                process.died_at = time.monotonic()
                say(f"{process.name} ended (exit code {code}): starting it again; see {process.log}")
            elif time.monotonic() - process.died_at > RESTART_PAUSE:
                process.died_at = 0.0
                process.start()

    def stop(self) -> None:
        """End all of them."""
        for process in self.processes:
            process.stop()
        for process in self.processes:
            process.end()
