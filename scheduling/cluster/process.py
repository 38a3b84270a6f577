"""What a process of the cluster is to the operating system: its name, its parent, its life. Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


def enter(role: str, parent: int) -> None:
    """Make this freshly forked process one of the cluster's.

    It is named `qc-<role>` (as /proc and ps show it), dies by SIGKILL as soon as its parent does, and
    leaves SIGINT and SIGTERM, which reach whole process groups, to the main process: by a handler that does
    nothing, as an ignored signal would stay ignored in the programs that jobs start.
    """
    rename(role)
    die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def die_with(parent: int) -> None:
    """Let the kernel send SIGKILL to this process as soon as its parent dies (the thread that forked it, in truth)."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def rename(role: str) -> None:
    """Set the name that the kernel shows for this process."""
    _libc.prctl(PR_SET_NAME, f"qc-{role}".encode()[:15], 0, 0, 0)


def role_of(pid: int) -> str | None:
    """The role that a process has entered the cluster with; None for a stranger or a dead one."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    return name.removeprefix("qc-") if name.startswith("qc-") and started_at(pid) else None


def children_of(pid: int) -> list[int]:
    """The living children of a process, of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return sorted(found)


def started_at(pid: int) -> int:
    """When a process began, in clock ticks since the boot; 0 where it is dead or a zombie.

    With the pid it names a process for good, as pids come again.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def machine() -> str:
    """This start of this machine: the kernel's boot id, with the container's process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"


def boot(machine: str) -> str:
    """Which start of a machine: the first part of what machine() gave."""
    return machine.partition("/")[0]


def describe_exit(code: int) -> str:
    """An exit code in words, as multiprocessing gives it: negative for a signal."""
    if code < 0:
        known = -code in set(signal.Signals)
        return f"worker died (signal {-code}{', ' + signal.Signals(-code).name if known else ''})"
    return f"worker died (exit code {code})"
