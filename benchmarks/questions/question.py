"""What a question is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.remote import Remote

OURS = ("ours", "ours-sqlite")
ONE_OF_EACH = (*OURS, "awa-64", "celery", "django-q2", "django-q2-sqlite")  # where the others would tell no more
ONE_AWA = (*ONE_OF_EACH, "procrastinate", "pgqueuer", "huey", "dramatiq", "django-tasks")
Row = dict[str, Any]  # figures by name; "kind" tells rows of one system apart


@dataclass(frozen=True)
class Question:
    """`measure(system, scale)` gives rows; scale 1 is the full size."""

    name: str
    title: str
    about: str
    measure: Callable[[Remote, float], list[Row]]
    systems: Sequence[str] | None = None
    """Those that are asked; None: all."""

    figure: str = "per_second"
    """The one by which systems are compared."""
    less_is_better: bool = False

    def suits(self, system: str) -> bool:
        """Whether a system can be asked."""
        return self.systems is None or system in self.systems
