"""The list of workflows: the jobs of some functions, found by an index however few they are among all jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import EmptyResultSet
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from scheduling import clock
from scheduling.admin import workflow_links
from scheduling.admin.paging import MOST, KeysetChangeList, bounded_count
from scheduling.conf import conf
from scheduling.models import Job, JournalEntry, State

MOST_NAMES = 200  # workflows in one statement: SQLite takes 500 parts of a UNION
LAST = JournalEntry.objects.filter(workflow=OuterRef("pk")).order_by("-position").values("pk")[:1]


class WorkflowList(KeysetChangeList):
    """A page of workflows, each with the last entry of its journal: one query more for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        entries = JournalEntry.objects.defer("args", "result", "error")
        last = entries.in_bulk([one.last_entry for one in self.result_list if one.last_entry])
        for one in self.result_list:
            one.entry = last.get(one.last_entry)

    def first(self, rows: QuerySet[Any], most: int) -> list[Any]:
        """The first rows. The index over names and ids is walked for each name: one walk over the ids alone would pass
        all other jobs, and one over all names would read each workflow that there is."""
        walks = []
        for name in workflow_links.names()[:MOST_NAMES]:
            try:
                walks.append(_compiled(rows.filter(name=name).values("pk")[:most]))
            except EmptyResultSet:
                return []
        if not walks:
            return []
        statement = " UNION ALL ".join(f"SELECT * FROM ({text}) AS walk" for text, _params in walks)  # noqa: S608
        params = [param for _text, given in walks for param in given]
        found: list[Any] = list(rows.filter(pk__in=RawSQL(statement, params))[:most])  # noqa: S611 - text of ours
        return found


class ByWorkflow(admin.SimpleListFilter):
    """By the function that is the workflow."""

    title, parameter_name = "workflow", "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(name, name) for name in workflow_links.names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(name=self.value()) if self.value() else queryset


class ByState(admin.SimpleListFilter):
    """By its state."""

    title, parameter_name = "state", "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(state.value, state.label) for state in State if state != State.SKIPPED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """On SQLite, which does not know how many rows there are, the index over states is kept out of it where many
        jobs are in one: it would be taken, and each of them read, for the few among them that are workflows."""
        state = self.value()
        if not state:
            return queryset
        if clock.database().vendor == "sqlite" and bounded_count(Job.objects.filter(state=state)) > MOST:
            rows: QuerySet[Any] = queryset.alias(its_state=Coalesce("state", Value(""))).filter(its_state=state)
            return rows
        return queryset.filter(state=state)


def with_last_entry(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Workflows with the id of the last entry of their journal: one look into an index for each."""
    annotated: QuerySet[Any] = rows.annotate(last_entry=Subquery(LAST))
    return annotated


def _compiled(rows: QuerySet[Any]) -> tuple[str, tuple[Any, ...]]:
    text, params = rows.query.get_compiler(using=conf().database).as_sql()
    return text, tuple(params)
