"""What a question is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.remote import Remote

Row = dict[str, Any]  # figures by name; "kind" tells rows of one system apart


@dataclass(frozen=True)
class Question:
    """`measure(system, number, scale)` gives rows: the system's own number of no-ops at full size, which is scale 1."""

    name: str
    title: str
    measure: Callable[[Remote, int, float], list[Row]]
    systems: Sequence[str] | None = None
    """Those that can be asked; None: all."""

    def suits(self, system: str) -> bool:
        """Whether a system can be asked."""
        return self.systems is None or any(system == name or system.startswith(f"{name}-") for name in self.systems)
