"""Money as an exact Decimal on both databases, and its exact sum."""

from __future__ import annotations

import sqlite3
from decimal import Context, Decimal
from typing import Any

from django.db import models
from django.db.models import Aggregate

SQLITE_SUM = "money_sum"
_EXACT = Context(prec=60)  # the default would round to 28 digits


class MoneyField(models.DecimalField):
    """An amount of zero or more, kept to its last digit.

    SQLite would turn a decimal of more than 15 digits into a float. There it is text instead, padded with
    zeros to one width: `00000000000000000012.500000000000000000` compares and sorts as the number does.
    """

    def __init__(self, *args: Any, max_digits: int = 38, decimal_places: int = 18, **kwargs: Any) -> None:
        super().__init__(*args, max_digits=max_digits, decimal_places=decimal_places, **kwargs)

    def get_internal_type(self) -> str:
        return "MoneyField"

    def db_type(self, connection: Any) -> str:
        return "text" if connection.vendor == "sqlite" else f"numeric({self.max_digits}, {self.decimal_places})"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if hasattr(value, "as_sql"):
            return value
        amount = self.to_python(value)
        if amount is None:
            return None
        if amount < 0:
            raise ValueError(f"{self.name} is an amount of zero or more, not {amount}")
        return self.padded(amount) if connection.vendor == "sqlite" else amount

    def padded(self, amount: Decimal) -> str:
        """The amount as text of one width, rounded to this field's places."""
        return f"{amount:0{self.max_digits + 1}.{self.decimal_places}f}"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        return value if value is None or isinstance(value, Decimal) else Decimal(str(value))


class MoneySum(Aggregate):
    """The exact sum of a MoneyField, as a Decimal, None over no rows; `Sum` would be a float on SQLite."""

    function = "SUM"
    name = "MoneySum"

    def __init__(self, expression: Any, **extra: Any) -> None:
        super().__init__(expression, output_field=MoneyField(), **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function=SQLITE_SUM, **context)


class _Sum:
    """The aggregate behind MoneySum on SQLite."""

    def __init__(self) -> None:
        self.total: Decimal | None = None

    def step(self, amount: str | None) -> None:
        if amount is not None:
            self.total = _EXACT.add(self.total or Decimal(0), Decimal(amount))

    def finalize(self) -> str | None:
        return None if self.total is None else str(self.total)


def teach_sqlite(*, connection: Any, **_: Any) -> None:
    """Give a new SQLite connection the exact sum (a receiver of connection_created)."""
    if connection.vendor == "sqlite":
        database: sqlite3.Connection = connection.connection
        database.create_aggregate(SQLITE_SUM, 1, _Sum)
