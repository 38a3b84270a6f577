"""How a write of SQLite's log is heard."""

from __future__ import annotations

import select
import sqlite3
import subprocess
import sys

import pytest

from scheduling.cluster.walwatch import AWHILE, WalWatch
from scheduling.testing.processes import until


def opened(path):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE IF NOT EXISTS t (x)")
    return database


def write(path):
    """A commit of another process."""
    script = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('INSERT INTO t VALUES (1)'); d.commit()"
    subprocess.run([sys.executable, "-c", script, path], check=True)


def is_heard(files):
    return bool(select.select(files, [], [], 0)[0])


def calm(watch):
    """Wait until nothing has been written for a while."""
    until(watch.quiet, 10 * AWHILE)
    return watch.quiet()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "a.sqlite3")


@pytest.fixture
def database(path):
    database = opened(path)
    yield database
    database.close()


@pytest.fixture
def watch(database):
    watch = WalWatch()
    watch.renew(database)
    return watch


def test_a_commit_of_another_process_is_heard_and_after_a_moment_it_is_quiet_again(watch, path):
    files = watch.quiet()
    assert files and not is_heard(files)
    write(path)
    assert is_heard(files)
    assert watch.quiet() == [], "its commit may not be seen yet"
    assert not is_heard(calm(watch))


def test_readers_and_a_checkpoint_that_leaves_the_log_are_not_heard(watch, database, path):
    write(path)
    files = calm(watch)
    with sqlite3.connect(path) as reader:
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    reader.close()
    assert not is_heard(files)


def test_a_log_that_vanishes_is_heard_and_so_is_the_one_that_comes_after_it(watch, database, path):
    files = watch.quiet()
    database.close()
    assert is_heard(files), "it is gone"
    calm(watch)
    again = opened(path)
    watch.renew(again)
    files = calm(watch)
    assert not is_heard(files)
    write(path)
    assert is_heard(files)
    again.close()


def test_where_there_is_no_log_nothing_is_watched_until_there_is_one(path):
    watch = WalWatch()
    with sqlite3.connect(":memory:") as memory:
        watch.renew(memory)
        assert watch.quiet() == []
    memory.close()
    watch = WalWatch()
    plain = sqlite3.connect(path, isolation_level=None)
    plain.execute("CREATE TABLE t (x)")
    watch.renew(plain)
    assert watch.quiet() == []
    plain.execute("PRAGMA journal_mode=WAL")
    plain.execute("INSERT INTO t VALUES (1)")
    watch.renew(plain)
    assert watch.quiet()
    plain.close()


def test_programs_that_the_process_starts_do_not_inherit_the_watch(watch):
    (number,) = watch.quiet()
    script = f"import os; os.fstat({number})"
    ended = subprocess.run([sys.executable, "-c", script], close_fds=False, capture_output=True)
    assert b"Bad file descriptor" in ended.stderr
