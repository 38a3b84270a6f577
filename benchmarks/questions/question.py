"""What a question is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.remote import Remote

Row = dict[str, Any]  # figures by name; "kind" tells rows of one system apart


@dataclass(frozen=True)
class Question:
    """`measure(system, scale)` gives rows; scale 1 is the full size."""

    name: str
    title: str
    about: str
    measure: Callable[[Remote, float], list[Row]]
    systems: Sequence[str] | None = None
    """Those that can be asked; None: all."""

    figure: str = "per_second"
    """The one by which systems are compared."""
    less_is_better: bool = False

    def suits(self, system: str) -> bool:
        """Whether a system can be asked."""
        return self.systems is None or any(system == name or system.startswith(f"{name}-") for name in self.systems)
