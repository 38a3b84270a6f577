"""Functions that the tests of scheduling schedule; real clusters import them too (modules=[WORK])."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
from django.contrib.auth.models import Group
from django.db import connection, transaction

from scheduling import Permanent, Retry, RetryAfter, action, context, mutation, query, scheduler

WORK = "tests.scheduling.work"


@mutation(name="work.add")
def add(a: int, b: int = 1) -> int:
    return a + b


@mutation(name="work.write")
def write(name: str, fail: bool = False) -> int:
    group = Group.objects.create(name=name)
    if fail:
        raise ValueError("wanted")
    return group.pk


@mutation(name="work.write_and_schedule")
def write_and_schedule(name: str, fail: bool = False) -> None:
    Group.objects.create(name=name)
    scheduler.now(add, {"a": 1})
    if fail:
        raise ValueError("wanted")


@query(name="work.count")
def count() -> int:
    return Group.objects.count()


@query(name="work.sneaky")
def sneaky() -> None:
    Group.objects.create(name="sneaky")


@action(name="work.collect")
def collect() -> float:
    """By how many MB the memory that is this process's alone grows in a full collection."""
    process = psutil.Process()
    before = process.memory_full_info().uss
    gc.collect()
    return float(process.memory_full_info().uss - before) / 2**20


@action(name="work.once")
def once(file: str) -> None:
    """Leave a line, then wait to be killed or released (by the file's removal)."""
    leave(file, f"begin {os.getpid()} {context.job_id}.{context.attempt}")
    linger(file)
    leave(file, f"end {os.getpid()} {context.job_id}.{context.attempt}")


@action(name="work.again", retry=Retry(initial_backoff=0.1, max_failures=3))
def again(file: str) -> None:
    once.body(file)


@mutation(name="work.slow_write")
def slow_write(file: str, name: str) -> None:
    Group.objects.create(name=name)
    leave(file, f"begin {os.getpid()}")
    linger(file)


@action(name="work.poison")
def poison(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(how)


@mutation(name="work.poison_write")
def poison_write() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@action(name="work.flaky", retry=Retry(initial_backoff=1, base=2, max_failures=3, jitter=0.5))
def flaky(until: int = 99, how: str = "error") -> str:
    if (context.attempt or 0) >= until:
        return f"attempt {context.attempt}"
    raise {"error": ValueError("flaky"), "final": Permanent("no use"), "after": RetryAfter(100)}[how]


@action(name="work.noop")
def noop(n: int = 0) -> int:
    return n


@mutation(name="work.noted")
def noted(run_id: str, result: dict, context: dict | None) -> None:
    Group.objects.create(name=f"{run_id} {result['type']} {context}")


def leave(file: str, line: str) -> None:
    """Append a line in one write, as a ledger outside the database."""
    handle = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def ledger(file: str | Path) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []


def linger(file: str) -> None:
    """Stay until the gate beside the file is opened."""
    while not Path(f"{file}.open").exists():
        time.sleep(0.01)


def open_gate(file: str | Path) -> None:
    Path(f"{file}.open").touch()


@action(name="work.stay")
def stay(file: str, way: str) -> None:
    """Stay until something is raised, in one of the ways in which bodies wait; say what it was."""
    leave(file, "begin")
    try:
        WAYS[way]()
    except BaseException as error:
        leave(file, f"left {type(error).__name__}")
        raise


@mutation(name="work.write_and_stay")
def write_and_stay(file: str, name: str) -> None:
    Group.objects.create(name=name)
    leave(file, "begin")
    try:
        time.sleep(60)
    except BaseException as error:
        leave(file, f"left {type(error).__name__}")
        raise


def _on_a_socket() -> None:
    mine, _theirs = socket.socketpair()
    mine.recv(1)


def _on_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _in_a_query() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
    time.sleep(60)


def _in_a_loop() -> None:
    while True:
        pass


def _deaf() -> None:
    """As in a long call of C code: nothing that is raised gets through."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            time.sleep(60)
        except BaseException:
            continue


@mutation(name="work.deaf_write")
def deaf_write(file: str, name: str) -> None:
    Group.objects.create(name=name)
    leave(file, "begin")
    _deaf()


WAYS = {
    "sleep": lambda: time.sleep(60),
    "socket": _on_a_socket,
    "lock": _on_a_lock,
    "query": _in_a_query,
    "loop": _in_a_loop,
    "deaf": _deaf,
}


@mutation(name="work.told")
def told(run_id: str, result: dict) -> str:
    """An on_complete that takes no context."""
    return f"{run_id} {result['type']}"


@mutation(name="work.told_in_vain")
def told_in_vain(result: dict) -> None:
    raise ValueError("deaf")


@mutation(name="work.told_nothing", priority=9)
def told_nothing() -> None:
    """An on_complete that only wants to know that it is over."""


@action(name="work.talk")
def talk(lines: list[str], fail: bool = False) -> None:
    for line in lines:
        logging.getLogger("tests.work").info(line)
    if fail:
        raise ValueError("after all that")


@mutation(name="work.schedules")
def schedules(calls: int) -> None:
    for n in range(calls):
        scheduler.now(noop, {"n": n})


@action(name="work.cancels_itself_and_schedules")
def cancels_itself_and_schedules() -> None:
    scheduler.now(noop, {"n": 1})
    scheduler.cancel(context.job_id or 0, interrupt=False)
    scheduler.now(noop, {"n": 2})


@action(name="work.starts_a_program")
def starts_a_program() -> int:
    program = subprocess.Popen(["sleep", "60"])
    program.terminate()
    return program.wait(5)


@mutation(name="work.dies_after_its_commit")
def dies_after_its_commit(file: str) -> None:
    """Its first hook ends the worker; the second is lost with it."""
    Group.objects.create(name="kept")
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    transaction.on_commit(lambda: leave(file, "second hook"))


@action(name="work.counted")
def counted(folder: str) -> int:
    """How many of its kind run while it does, itself included."""
    mine = Path(folder, str(context.job_id))
    mine.touch()
    most = 0
    for _ in range(5):
        most = max(most, len(list(Path(folder).iterdir())))
        time.sleep(0.004)
    mine.unlink()
    return most


@action(name="work.left_at")
def left_at(file: str, way: str) -> None:
    """Stay until something is raised, and say when that was (time.monotonic(), the same in all processes)."""
    try:
        WAYS[way]()
    finally:
        leave(file, f"{context.job_id} {time.monotonic()}")


@action(name="work.cancels_itself_and_schedules_with_on_complete")
def cancels_itself_and_schedules_with_on_complete() -> None:
    scheduler.cancel(context.job_id or 0, interrupt=False)
    scheduler.now(noop, {"n": 1}, on_complete=told)
    scheduler.now(noop, {"n": 2}, on_complete=told, key="k")


@mutation(name="work.batch_told")
def batch_told(run_id: str, result: dict, context: object = None) -> object:
    """The on_complete of a batch."""
    return context


@mutation(name="work.nap")
def nap(seconds: float) -> None:
    time.sleep(seconds)


@action(name="work.mark_done")
def mark_done(what: str, file: str, fails: bool = False) -> None:
    """A step of a saga."""
    time.sleep(0.005)
    if fails:
        raise Permanent("not this one")
    leave(file, f"done {what}")
    time.sleep(0.005)


@action(name="work.mark_undone", retry=Retry(max_failures=20, initial_backoff=0.05))
def mark_undone(what: str, file: str) -> None:
    """Its undo."""
    time.sleep(0.005)
    leave(file, f"undone {what}")
