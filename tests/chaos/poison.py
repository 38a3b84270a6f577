"""Functions that harm the process they run in; clusters import them (modules=[POISON])."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path

from scheduling import action, mutation

POISON = "tests.chaos.poison"
ROOM = 64 << 20  # bytes


@action(name="poison.crash")
def crash(how: str) -> None:
    """Outside of what Python can catch."""
    if how == "segfault":
        ctypes.string_at(0)
    os.abort()


@mutation(name="poison.crash_write")
def crash_write(how: str) -> None:
    crash.body(how)


@action(name="poison.eat")
def eat() -> None:
    """More memory than there is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    try:
        bytearray(4 * ROOM)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@action(name="poison.deaf")
def deaf(how: str) -> None:
    """Nothing that is raised gets through: signals are blocked, or C code runs on."""
    if how == "blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            pass
    sum(range(10**15))
