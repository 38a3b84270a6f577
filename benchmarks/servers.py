"""The servers of one run: an embedded PostgreSQL and a Redis, in a folder that is removed afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import psycopg

from config.embedded_postgres import start, stop

SHOWN = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "full_page_writes")
REDIS_WITHIN = 10.0  # seconds


class Servers:
    """Started when first asked for; PostgreSQL's settings are those of a fresh initdb."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.folder.chmod(0o755)
        self._postgres: str | None = None
        self._redis: subprocess.Popen[bytes] | None = None

    def database(self, kind: str, name: str) -> str:
        """A fresh place for one system: a PostgreSQL database's URL, a SQLite one's, or Redis's socket."""
        if kind == "postgres":
            return self._fresh_database(name.replace("-", "_"))
        return f"sqlite:///{self.folder / name}.sqlite3" if kind == "sqlite" else self.redis()

    def postgres(self) -> str:
        """The URL of the server's own database."""
        if self._postgres is None:
            self._postgres = start(self.folder / "pg", keep=True)
        return self._postgres

    def redis(self) -> str:
        """The path of Redis's socket: as with PostgreSQL, no TCP between."""
        socket = self.folder / "redis.sock"
        if self._redis is None:
            self._redis = subprocess.Popen(
                [_redis_server(), "--port", "0", "--unixsocket", str(socket), "--dir", str(self.folder)],
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            end = time.monotonic() + REDIS_WITHIN
            while not socket.exists():
                if time.monotonic() > end:
                    raise RuntimeError("redis-server does not start")
                time.sleep(0.02)
        return str(socket)

    def settings(self) -> dict[str, str]:
        """What PostgreSQL says of itself, and what differs from its defaults."""
        if self._postgres is None:
            return {}
        with psycopg.connect(self._postgres) as connection:
            return {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in SHOWN}  # type: ignore[index]

    def close(self) -> None:
        """Stop what was started, and remove the folder."""
        if self._redis is not None:
            self._redis.terminate()
            self._redis.wait()
        if self._postgres is not None:
            stop(self.folder / "pg")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _fresh_database(self, name: str) -> str:
        with psycopg.connect(self.postgres(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.postgres().replace("/postgres?", f"/{name}?")


def _redis_server() -> str:
    """The command, installed where it is missing and that is possible."""
    if not shutil.which("redis-server") and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing redis-server by apt-get", file=sys.stderr)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update"], check=False, **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", "-y", "redis-server"], check=False, **quiet)  # type: ignore[call-overload]
    found = shutil.which("redis-server")
    if not found:
        raise RuntimeError("redis-server is not installed")
    return found
