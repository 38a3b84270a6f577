"""CPU time and memory of processes and all that they have started."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes and their living descendants."""
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            found += [parent, *parent.children(recursive=True)]
    return found


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """What they have used so far, with those of their children that have ended."""
    used = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


def pss_mb(processes: Iterable[psutil.Process]) -> list[float]:
    """Each one's share of memory in MB: pages shared with others count in part."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.append(process.memory_full_info().pss / 2**20)
    return found
