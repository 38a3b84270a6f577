"""The machine and the interpreter of a run."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path


@cache
def facts() -> dict[str, str]:
    """What the page says of the machine."""
    return {
        "CPU": f"{os.cpu_count()} x {_first('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_first('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
    }


def _first(file: str, name: str) -> str:
    lines = Path(file).read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "unknown")
