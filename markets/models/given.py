"""Any number of rows as one JSON parameter of a statement, which each database reads as a table named `given`.

bulk_create would split them into statements of 60 rows on SQLite, and send some 15 parameters a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models

Columns = Mapping[str, str]
"""The attributes of a row, each with its type in PostgreSQL."""


def table(columns: Columns, vendor: str) -> str:
    """The parameter `rows` as a table, in the words of that database."""
    if vendor == "postgresql":
        return (
            f"jsonb_to_recordset(%(rows)s::jsonb) AS given({', '.join(f'{name} {columns[name]}' for name in columns)})"
        )
    listed = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {listed} FROM json_each(%(rows)s)) AS given"  # noqa: S608 - names of ours only


def as_json(rows: Iterable[Any], columns: Columns, stored_as: Mapping[str, models.Field], connection: Any) -> str:
    """The rows as the parameter; those attributes of `stored_as` as Django itself would store such a field."""
    prepared = []
    for row in rows:
        values = {name: getattr(row, name) for name in columns}
        for name, field in stored_as.items():
            if values[name] is not None:
                values[name] = str(field.get_db_prep_save(values[name], connection))
        prepared.append(values)
    return json.dumps(prepared)
