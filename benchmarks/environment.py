"""The environment of the others: benchmarks/.venv, from requirements.txt. Ours is untouched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"
INSTALLED = VENV / "installed.txt"  # the requirements that it was made from


def make() -> None:
    """Make it where it is missing or out of date. What cannot be installed is left out: its system says so."""
    wanted = REQUIREMENTS.read_text()
    if INSTALLED.exists() and INSTALLED.read_text() == wanted:
        return
    print("installing the others into benchmarks/.venv", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    if not _install("-r", str(REQUIREMENTS)):
        for line in wanted.splitlines():
            requirement = line.split("#")[0].strip()
            if requirement and not _install(requirement):
                print(f"could not install {requirement}", file=sys.stderr)
    INSTALLED.write_text(wanted)


def _install(*arguments: str) -> bool:
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*pip, *arguments], check=False).returncode == 0
