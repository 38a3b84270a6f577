"""Reports: one for each analysis, and the newest of each market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from markets.analysis.computing import compute
from markets.analysis.gathering import Fetched, Gathered, gather
from markets.models import Market, Report
from scheduling import Permanent, context, mutation

KEPT = 100
"""Reports of a market; older ones go when a new one comes."""


@mutation(name="markets.store_report")
def store_report(
    market_id: int, at: datetime, fetched: Mapping[str, Fetched], elsewhere: Sequence[int] = ()
) -> dict[str, Any]:
    """Compute the figures of what was fetched and of what the database has, and store them as a report.

    `fetched` goes by the names of the inputs, and of the other exchanges that were asked. As a step of a workflow it
    happens once, and the report names the workflow. Gives the report's id, and which inputs are missing.
    """
    market = Market.objects.select_related("parent").filter(pk=market_id).first()
    if market is None:
        raise Permanent(f"no market has the id {market_id} any more")
    gathered = gather(market, at, fetched, elsewhere)
    report = store(gathered, compute(gathered), job_id=context.job_id)
    return {"report": report.pk, "missing": [name for name, each in gathered.inputs.items() if each.missing]}


@transaction.atomic
def store(gathered: Gathered, figures: dict[str, Any], *, job_id: int | None = None) -> Report:
    """Store a report; IntegrityError where its job has one already."""
    report = Report.objects.create(
        market=gathered.market,
        created_at=gathered.at,
        job_id=job_id,
        figures=figures,
        inputs={name: each.as_json() for name, each in gathered.inputs.items()},
    )
    old = Report.objects.filter(market=gathered.market).order_by("-created_at", "-pk").values_list("pk", flat=True)
    Report.objects.filter(pk__in=list(old[KEPT : KEPT + 10])).delete()
    return report
