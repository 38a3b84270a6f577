"""Real clusters on the test database, to be killed at will."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scheduling import clock
from scheduling.cluster import process
from scheduling.conf import conf

ROLES = ("main", "sentinel", "pusher", "monitor", "worker")
START_WITHIN = 20.0  # seconds
STOP_WITHIN = 15.0
LOOK = 0.02


class Cluster:
    """Some `qcluster` processes. Roles: main, sentinel, pusher, monitor, worker."""

    def __init__(self, workers: int, hosts: int, modules: Sequence[str], pools: Sequence[str] | None) -> None:
        self._workers, self._modules, self._pools = workers, list(modules), pools
        self._log = Path(tempfile.mkstemp(prefix="cluster-", suffix=".log")[1])
        self.mains = [self._start() for _ in range(hosts)]

    def pids(self, role: str) -> list[int]:
        """The living processes of a role, over all hosts; ValueError for a role that there is not."""
        if role not in ROLES:
            raise ValueError(f"a role is one of {', '.join(ROLES)}, not {role!r}")
        return [pid for main in self.mains for pid in _family(main.pid) if process.role_of(pid) == role]

    def kill(self, role: str, number: int = signal.SIGKILL) -> list[int]:
        """Send a signal to every process of a role, and give their pids."""
        pids = self.pids(role)
        for pid in pids:
            os.kill(pid, number)
        return pids

    def log(self) -> str:
        """What all hosts have written to stdout and stderr."""
        return self._log.read_text(errors="replace")

    def ready(self) -> Cluster:
        """Wait until every host has all its processes and has written its row."""
        for main in self.mains:
            until(lambda main=main: self._is_up(main), START_WITHIN, self.log)  # type: ignore[misc]
        return self

    def stop(self) -> None:
        """Stop all hosts as an operator would, and kill what is left."""
        for main in self.mains:
            for _ in range(2):  # the second shortens the grace
                if main.poll() is None:
                    main.send_signal(signal.SIGTERM)
                    time.sleep(LOOK)
        for main in self.mains:
            try:
                main.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(main.pid, signal.SIGKILL)
                main.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {key: clock.database().settings_dict[key] for key in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
        task = {
            "alias": conf().database,
            "database": settings,
            "modules": self._modules,
            "workers": self._workers,
            "pools": self._pools,
        }
        if ":memory:" in str(settings["NAME"]) or "mode=memory" in str(settings["NAME"]):
            raise RuntimeError('a cluster needs a test database in a file: set DATABASES[…]["TEST"]["NAME"]')
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "scheduling.testing_host"],
                env=os.environ | {"SCHEDULING_TEST_HOST": json.dumps(task, default=str)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_up(self, main: subprocess.Popen[bytes]) -> bool:
        if main.poll() is not None:
            raise RuntimeError(f"a host ended with {main.returncode} at its start:\n{self.log()}")
        roles = [process.role_of(pid) for pid in _family(main.pid)]
        return roles.count("worker") == self._workers and _has_row(roles, main.pid)


@contextmanager
def cluster(
    workers: int = 2, hosts: int = 1, modules: Sequence[str] = (), pools: Sequence[str] | None = None
) -> Iterator[Cluster]:
    """Run real hosts on the test database, which import `modules` too; needs committed data (transaction=True).

    With `pools` they serve only these, as with `qcluster --pools`.
    """
    running = Cluster(workers, hosts, modules, pools)
    try:
        yield running.ready()
    finally:
        running.stop()


def until(true: Callable[[], object], seconds: float, explain: Callable[[], str] = str) -> None:
    """Wait until something is true; TimeoutError, with an explanation, after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"still not so after {seconds:g} s: {explain()}")
        time.sleep(LOOK)


def _family(pid: int) -> list[int]:
    """A process and all its living descendants."""
    return [pid] + [member for child in process.children_of(pid) for member in _family(child)]


def _has_row(roles: list[str | None], main: int) -> bool:
    from scheduling.models import Host

    sentinels = [pid for pid in _family(main) if process.role_of(pid) == "sentinel"]
    return "pusher" in roles and Host.objects.running().filter(pid__in=sentinels).exists()
