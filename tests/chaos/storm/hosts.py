"""Hosts as an operator starts them, and the supervisor that starts one again when its main process has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scheduling.cluster import process
from scheduling.testing.processes import ROLES, until

LOOK = 0.05  # seconds between two looks of a supervisor
AGAIN_AFTER = 0.2  # seconds until an ended host is started again, as systemd's RestartSec
UP_WITHIN = 30.0
STOP_WITHIN = 60.0
WORKERS = 2


@dataclass
class Exit:
    """How one start of a host ended."""

    host: str
    main: int
    code: int
    at: float
    """time.monotonic()"""


@dataclass
class Host:
    """One host: `manage.py qcluster` under a supervisor's eye."""

    name: str
    log: Path
    environment: Mapping[str, str]
    exits: list[Exit] = field(default_factory=list)
    mains: list[int] = field(default_factory=list)
    held: bool = False
    """Whether it is to stay down for now."""
    over: bool = False

    def start(self) -> Host:
        """Start it, and watch over it."""
        self._spawn()
        self._supervisor = threading.Thread(target=self._supervise, name=f"supervisor of {self.name}", daemon=True)
        self._supervisor.start()
        return self

    def stop(self) -> None:
        """SIGTERM, once, and no start again."""
        self.over, self.held = True, False
        self._supervisor.join()
        if self.process.poll() is None:
            self.signal_all(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self.signal_all(signal.SIGKILL)
            self._note(self.process.wait())

    def pids(self, role: str | None = None) -> list[int]:
        """Its living processes, of a role or all."""
        family = _family(self.process.pid)
        return [pid for pid in family if process.role_of(pid) in ((role,) if role else ROLES)]

    def signal_all(self, number: int) -> None:
        """Send a signal to all its processes, the main one first."""
        for pid in self.pids():
            send(pid, number)

    def is_up(self) -> bool:
        """Whether all its processes are there."""
        return len(self.pids("worker")) == WORKERS and bool(self.pids("pusher")) and bool(self.pids("monitor"))

    def wait_up(self) -> None:
        """Wait until all its processes are there."""
        until(self.is_up, UP_WITHIN, lambda: self.log.read_text(errors="replace")[-3000:])

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.mains.append(self.process.pid)

    def _supervise(self) -> None:
        while not self.over:
            time.sleep(LOOK)
            if self.process.poll() is not None:
                self._note(self.process.returncode)
                while self.held and not self.over:
                    time.sleep(LOOK)
                time.sleep(AGAIN_AFTER)
                if self.over:
                    return
                self._spawn()

    def _note(self, code: int) -> None:
        self.exits.append(Exit(self.name, self.process.pid, code, time.monotonic()))


def send(pid: int, number: int) -> bool:
    """Send a signal to a process that may have gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def of_session(leader: int) -> list[int]:
    """The living processes of a session, whatever has become of their parents."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return found


def _family(pid: int) -> list[int]:
    return [pid] + [member for child in process.children_of(pid) for member in _family(child)]
