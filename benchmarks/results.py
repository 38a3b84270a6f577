"""What was measured, kept as JSON: a part can be measured again, and the page is written from all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "results"


def write(folder: Path, question: str, system: str, result: dict[str, Any]) -> None:
    """Keep one system's answer to one question."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{question}.{system}.json").write_text(json.dumps(result, indent=1) + "\n")


def read(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """All answers, by question and system."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.json")):
        question, system = file.stem.split(".")
        found.setdefault(question, {})[system] = json.loads(file.read_text())
    return found
