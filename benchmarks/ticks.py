"""What the bodies of the jobs leave behind: counts in shared memory and, where asked, the time of each start.

Every system runs these same few lines, so their cost (about 0.2 µs a job) is the same for all. A thread counts in a
place of its own: no lock, and nothing lost.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from pathlib import Path

PLACES = 1024  # of threads in one process
FOLDER = "BENCH_TICKS"

_mine = threading.local()
_lock = threading.Lock()
_view: memoryview | None = None
_taken = 0


def tick() -> None:
    """Count one body of this thread."""
    try:
        place = _mine.place
    except AttributeError:
        place = _mine.place = _next_place()
    _view[place] += 1  # type: ignore[index]


def mark(number: int) -> None:
    """Count one body, and write down when it began."""
    now = time.monotonic_ns()
    with (Path(os.environ[FOLDER]) / f"{os.getpid()}.marks").open("a") as file:
        file.write(f"{number} {now}\n")
    tick()


def total(folder: Path) -> int:
    """How many bodies have run, over all processes."""
    return sum(sum(memoryview(file.read_bytes()).cast("Q")) for file in folder.glob("*.ticks"))


def marks(folder: Path) -> dict[int, list[int]]:
    """When the bodies began (monotonic nanoseconds), by their number; more than one time: it ran more than once."""
    found: dict[int, list[int]] = {}
    for file in folder.glob("*.marks"):
        for line in file.read_text().splitlines():
            number, _, began = line.partition(" ")
            found.setdefault(int(number), []).append(int(began))
    return found


def clear(folder: Path) -> None:
    """Begin anew; only while no worker runs."""
    for file in folder.iterdir():
        file.unlink()


def _next_place() -> int:
    global _view, _taken
    with _lock:
        if _view is None:
            _view = _new_file()
        _taken += 1
        return _taken - 1


def _new_file() -> memoryview:
    path = Path(os.environ[FOLDER]) / f"{os.getpid()}-{time.monotonic_ns()}.ticks"
    with path.open("w+b") as file:
        file.truncate(PLACES * 8)
        return memoryview(mmap.mmap(file.fileno(), PLACES * 8)).cast("Q")


def _forget() -> None:
    """In a forked child: it counts in a file of its own."""
    global _view, _taken, _mine, _lock
    _view, _taken, _mine, _lock = None, 0, threading.local(), threading.Lock()


os.register_at_fork(after_in_child=_forget)
