"""The machine and the interpreter of a run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
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
        "load at the start": f"{os.getloadavg()[0]:.1f} (above 0: others' work, which slows all that is measured)",
        "Redis": _redis(),
    }


def _first(file: str, name: str) -> str:
    lines = Path(file).read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "unknown")


def _redis() -> str:
    server = shutil.which("redis-server")
    words = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout if server else ""
    return next((word[2:] for word in words.split() if word.startswith("v=")), "not installed")
