"""Filters of the job list. None asks a big table for its distinct values, and each has an index or a bound."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, Max, QuerySet
from django.http import HttpRequest

from scheduling import clock, functions
from scheduling.models import Cron, Host, Job

PERIODS = {"10m": ("10 minutes", 600), "1h": ("hour", 3600), "1d": ("day", 86400), "7d": ("7 days", 604800)}
MOST_CRONS = 200
MOST_HOSTS = 20
LONGEST_ID = 19  # digits; with less, a number fits an id
NEWEST = 100_000  # jobs among which those of a host are looked for: no index leads to them

# Ids grow with time, so the first job since a moment is found as in a sorted list, by halves.
LATE = "(SELECT created_at FROM scheduling_job WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1) >= %s"
FIRST_SINCE = f"""
WITH RECURSIVE search(low, high) AS (
    SELECT (SELECT min(id) FROM scheduling_job), (SELECT max(id) FROM scheduling_job)
    UNION ALL
    SELECT CASE WHEN {LATE} THEN low ELSE (low + high) / 2 + 1 END,
           CASE WHEN {LATE} THEN (low + high) / 2 ELSE high END
    FROM search WHERE low < high
)
SELECT low FROM search WHERE low >= high
"""  # noqa: S608 - text of ours


def first_since(moment: datetime) -> int:
    """The id below which no job was scheduled at or after a moment."""
    with clock.database().cursor() as cursor:
        cursor.execute(FIRST_SINCE, [clock.to_db(moment)] * 2)
        row = cursor.fetchone()
    return int(row[0]) if row else 0


class ByFunction(admin.SimpleListFilter):
    """By a function of the registry."""

    title, parameter_name = "function", "function"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(name, name) for name in functions.names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(name=self.value()) if self.value() else queryset


class ByCron(admin.SimpleListFilter):
    """By the cron that made the job."""

    title, parameter_name = "cron", "cron"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        keys = list(Cron.objects.order_by("key").values_list("key", flat=True)[:MOST_CRONS])
        chosen = request.GET.get(self.parameter_name)
        return [(key, key) for key in keys + ([chosen] if chosen and chosen not in keys else [])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(cron=self.value()) if self.value() else queryset


class ByBatch(admin.SimpleListFilter):
    """By a batch, whose page leads here."""

    title, parameter_name = "batch", "batch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name, "")
        return [(chosen, f"#{chosen}")] if chosen.isdecimal() and len(chosen) < LONGEST_ID else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(batch=int(self.value() or 0)) if self.value() else queryset


class ByHost(admin.SimpleListFilter):
    """By the host of the last attempt, among the newest jobs."""

    title, parameter_name = f"host (newest {NEWEST:,} jobs)", "host"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        hosts = Host.objects.order_by(F("ended_at").desc(nulls_first=True), "-pk")[:MOST_HOSTS]
        return [(str(host.pk), str(host) if host.ended_at is None else f"{host} (stopped)") for host in hosts]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (self.value() or "").isdecimal():
            return queryset
        newest = Job.objects.aggregate(id=Max("id"))["id"] or 0
        return queryset.filter(host_id=int(self.value() or 0), id__gt=newest - NEWEST)


class ByPeriod(admin.SimpleListFilter):
    """By when the job was scheduled."""

    title, parameter_name = "scheduled in the last", "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(key, words) for key, (words, _seconds) in PERIODS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in PERIODS:
            return queryset
        moment = clock.now() - timedelta(seconds=PERIODS[str(self.value())][1])
        return queryset.filter(id__gte=first_since(moment), created_at__gte=moment)
