"""What a rule gives where it is broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    rule: str
    words: str
    job: int | None = None
    at: float | None = None
    saga: int | None = None
    batch: int | None = None


Findings = Iterator[Finding]
