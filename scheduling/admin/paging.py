"""Lists that open equally fast however many rows there are: paged by key, counted up to a bound.

COUNT(*) and OFFSET read every row before the page. Here a page begins below a key (`?before=…`), and
counting stops at 10,001.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

if TYPE_CHECKING:
    from django.http import HttpRequest

MOST = 10_000  # rows that are counted; beyond, a list says "10,000+"
BEFORE, AFTER = "before", "after"
SEPARATOR = ","


class Bounded(int):
    """A count that stopped at MOST: it reads "10,000+" where there are more."""

    def __str__(self) -> str:
        return f"{MOST:,}+" if self > MOST else f"{int(self):,}"


def bounded_count(rows: QuerySet[Any]) -> Bounded:
    """How many rows there are, looking at MOST + 1 of them at most."""
    return Bounded(rows.order_by().values("pk")[: MOST + 1].count())


class KeysetChangeList(ChangeList):
    """A change list whose model admin names its order in `keyset`: fields, all descending, the last unique."""

    model_admin: Any
    newer: str | None = None
    """The query string of the page of newer rows; None on the first."""
    older: str | None = None
    """The query string of the page of older rows; None on the last."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        self.before, self.after = self.params.pop(BEFORE, ""), self.params.pop(AFTER, "")
        rows = super().get_queryset(request, exclude_parameters).order_by(*(f"-{name}" for name in self._keys))
        listed: QuerySet[Any] = self.model_admin.for_list(rows)
        return listed

    def get_filters_params(self, params: Any = None) -> Any:
        wanted = super().get_filters_params(params)
        return {name: value for name, value in wanted.items() if name not in (BEFORE, AFTER)}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """As Django's; whatever changes the filters goes back to the first page."""
        return super().get_query_string(new_params, [*(remove or []), BEFORE, AFTER])

    def get_results(self, request: HttpRequest) -> None:
        self.result_count = self.full_result_count = bounded_count(self.queryset)
        self.result_list = self._page()
        self.show_full_result_count = self.can_show_all = False
        self.show_admin_actions = True
        self.multi_page = bool(self.newer or self.older)
        self.paginator = None  # nothing asks for it: our template draws the links

    def first(self, rows: QuerySet[Any], most: int) -> list[Any]:
        """The first of some rows."""
        return list(rows[:most])

    @property
    def _keys(self) -> tuple[str, ...]:
        keys: tuple[str, ...] = self.model_admin.keyset
        return keys

    def _page(self) -> list[Any]:
        size = self.list_per_page
        rows: list[Any]
        if self.after:
            rows = self.first(self.queryset.filter(self._beyond(self.after, "gt")).reverse(), size + 1)
            if len(rows) > size:
                rows = rows[:size][::-1]
                self._link(rows, newer=True, older=True)
                return rows
            self.before = ""  # less than a page is newer: that is the first page
        wanted = self.queryset.filter(self._beyond(self.before, "lt")) if self.before else self.queryset
        rows = self.first(wanted, size + 1)
        more, rows = len(rows) > size, rows[:size]
        self._link(rows, newer=bool(self.before), older=more)
        return rows

    def _link(self, rows: list[Any], *, newer: bool, older: bool) -> None:
        if newer:
            self.newer = self.get_query_string({AFTER: self._key_of(rows[0])} if rows else None)
        if older:
            self.older = self.get_query_string({BEFORE: self._key_of(rows[-1])})

    def _key_of(self, row: Any) -> str:
        return SEPARATOR.join(str(getattr(row, name)) for name in self._keys)

    def _beyond(self, key: str, lookup: str) -> Q:
        """What comes after a key in the list's order: (a < x) or (a = x and b < y), with a bound for the index."""
        values = key.split(SEPARATOR)
        if len(values) != len(self._keys):
            raise IncorrectLookupParameters
        pairs = [(name, self._value(name, value)) for name, value in zip(self._keys, values, strict=True)]
        beyond, same = Q(), Q()
        for name, value in pairs:
            beyond |= same & Q(**{f"{name}__{lookup}": value})
            same &= Q(**{name: value})
        first, value = pairs[0]
        return beyond & Q(**{f"{first}__{lookup}e": value})

    def _value(self, name: str, value: str) -> Any:
        try:
            return self.lookup_opts.get_field(name).clean(value, None)  # type: ignore[union-attr]
        except (ValidationError, ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error
