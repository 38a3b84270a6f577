"""Points in our code at which a test lets a process die, stop, wait or fail. They are for tests only.

The environment variable SCHEDULING_FAILPOINTS names a folder. Without it every point is off, and costs one look at
an attribute. In the folder the file `finish.before_commit` says what happens at the point of that name:

    kill  stop  exit  raise  sleep=0.5 (seconds)  pause

`kill@3` does it at the third time only, counted over all processes that share the folder. A process that pauses
makes the file `finish.before_commit.paused.<pid>`, and goes on when that is gone.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

VARIABLE = "SCHEDULING_FAILPOINTS"
LOOK = 0.005  # seconds
EXIT_CODE = 3

_folder = Path(os.environ.get(VARIABLE, ""))
on = VARIABLE in os.environ
"""Whether any point may do something; asked before hit(), which reads a file."""


class Failed(Exception):
    """What `raise` raises."""


def hit(name: str) -> None:
    """Do what is asked for at this point, if anything is."""
    try:
        wanted, _, nth = (_folder / name).read_text().strip().partition("@")
    except FileNotFoundError:
        return
    if _count(name) == int(nth) if nth else True:
        _do(name, wanted)


def _count(name: str) -> int:
    """Which time this is, over all processes: each appends a byte, and is told where that came to stand."""
    file = os.open(_folder / f"{name}.hits", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    try:
        os.write(file, b".")
        return os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)


def _do(name: str, wanted: str) -> None:
    wanted, _, seconds = wanted.partition("=")
    if wanted == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif wanted == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif wanted == "exit":
        os._exit(EXIT_CODE)
    elif wanted == "sleep":
        time.sleep(float(seconds))
    elif wanted == "pause":
        _pause(_folder / f"{name}.paused.{os.getpid()}")
    elif wanted == "raise":
        raise Failed(name)
    else:
        raise ValueError(f"failpoint {name}: {wanted!r} is none of kill, stop, exit, sleep=…, raise, pause")


def _pause(file: Path) -> None:
    file.touch()
    while file.exists():
        time.sleep(LOOK)
