"""How rows are written that code declares by name, while the apps load: pools and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)
D = TypeVar("D")


def write_declared(
    rows: QuerySet[M],
    declared: Mapping[str, D],
    row: Callable[[str, D], M],
    write: Callable[[str, D], Any],
    *,
    only_add: bool,
) -> None:
    """Insert what is missing, in two queries however much it is; without `only_add` each is then written by `write`.

    A row that another host inserts meanwhile is left as that made it.
    """
    if not declared:
        return
    there = set(rows.filter(name__in=declared).values_list("name", flat=True))
    missing = [row(name, said) for name, said in declared.items() if name not in there]
    rows.bulk_create(missing, ignore_conflicts=True)
    if not only_add:
        for name, said in declared.items():
            write(name, said)
