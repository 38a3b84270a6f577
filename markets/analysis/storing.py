"""Reports: one for each job, however often it is tried, and the newest of each market."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from markets.analysis.gathering import Gathered
from markets.models import Report

KEPT = 100
"""Reports of a market; older ones go when a new one comes."""


@transaction.atomic
def store(gathered: Gathered, figures: dict[str, Any], *, job_id: int | None = None) -> Report:
    """Store a report; that of an earlier attempt of the same job is replaced."""
    values = {
        "market": gathered.market,
        "created_at": gathered.at,
        "figures": figures,
        "inputs": {name: each.as_json() for name, each in gathered.inputs.items()},
    }
    if job_id is None:
        report = Report.objects.create(**values)
    else:
        report, _ = Report.objects.update_or_create(job_id=job_id, defaults=values)
    old = Report.objects.filter(market=gathered.market).order_by("-created_at", "-pk").values_list("pk", flat=True)
    Report.objects.filter(pk__in=list(old[KEPT : KEPT + 10])).delete()
    return report
