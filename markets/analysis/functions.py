"""The analysis as a workflow, and the scan: many of these as a batch."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from django.db.models import Q
from pydantic import Field

from markets.analysis.fetching import fetch_book, fetch_day, fetch_month, fetch_prices, plan_analysis
from markets.analysis.gathering import OWN
from markets.analysis.storing import store_report
from markets.analysis.telling import DIFFERENCE, VOLATILITY, tell_of_report
from markets.exceptions import NothingGathered
from markets.exchanges import QUOTES
from markets.models import Market
from scheduling import Call, Retry, batches, clock, mutation, pools, workflow, workflows
from scheduling.exceptions import StepFailed
from scheduling.models import Job

RETRY = Retry(initial_backoff=5, base=2, max_failures=3)
"""Of each fetch."""
SCANS = "market_scans"
MOST = 300
WINDOW = timedelta(minutes=30)
"""A scan leaves a market alone whose analysis was scheduled in this time; a scan of the most takes 25 min."""
AGAIN = timedelta(minutes=1)
"""The same for an analysis that is asked for by hand."""
CLASS = re.compile(r"^\w+(\.\w+)+: ")
"""How the last line of an error begins."""
logger = logging.getLogger("markets.analysis")

pools.define(SCANS, 1)


@workflow(name="markets.analyse_market", retry=RETRY)
def analyse_market(
    step: Any,
    market_id: int,
    difference: Annotated[Decimal, Field(gt=0)] = DIFFERENCE,
    volatility: Annotated[Decimal, Field(gt=0)] = VOLATILITY,
) -> dict[str, Any]:
    """Fetch book, prices and related markets of one market, compute its figures, store a report, and tell of it.

    Each fetch is tried again by itself. One that cannot be had leaves its figures null, and the report says why; where
    the exchange gives nothing at all, the analysis fails, as it does at once for a topic, which has no book. The
    report is stored exactly once. Figures that reach `difference` or `volatility` open an alert.
    Gives the report's id, and which inputs are missing.
    """
    plan = step.run(plan_analysis, {"market_id": market_id})
    history = {"market_id": market_id, "until": plan["at"]}
    calls = [Call(fetch_book, {"market_id": market_id}), Call(fetch_day, history), Call(fetch_month, history)]
    calls += [Call(fetch_prices, {"exchange": name, "market_ids": ids}) for name, ids in plan["asked"].items()]
    answers = dict(zip((*OWN, *plan["asked"]), step.gather(*calls, return_exceptions=True), strict=True))
    failed = {name: error for name, error in answers.items() if isinstance(error, StepFailed)}
    if failed.keys() >= set(OWN):
        raise NothingGathered(f"{plan['exchange']} gave nothing: {said(failed['book'])}")
    gone_at = workflows.now().isoformat()
    fetched = answers | {name: {"how": {"read_at": gone_at, "missing": said(error)}} for name, error in failed.items()}
    stored: dict[str, Any] = step.run(
        store_report,
        {"market_id": market_id, "at": plan["at"], "fetched": fetched, "elsewhere": plan["elsewhere"]},
    )
    bounds = {"difference": difference, "volatility": volatility}
    step.run(tell_of_report, {"report_id": stored["report"], **bounds})
    return stored


@mutation(name="markets.deep_scan", pool=SCANS)
def deep_scan(top: Annotated[int, Field(ge=1, le=MOST)] = 20) -> dict[str, Any]:
    """Analyse the open markets with the most volume, up to 300, as one batch.

    A market whose analysis has not ended, or was scheduled in the last half hour, by a scan or by hand, is left alone,
    so a scan under way is not doubled. Calls of a batch have no keys: those analyses are looked up here, and scans run
    one at a time. Gives the batch (null where nothing is new), how many analyses it has, and how many were left alone.
    """
    chosen = most_traded(top)
    new = sorted(set(chosen) - under_way())
    calls = [Call(analyse_market, {"market_id": market_id}) for market_id in new]
    batch = batches.run(calls, on_complete=scan_ended).pk if calls else None
    return {"batch": batch, "scheduled": len(new), "left_alone": len(chosen) - len(new)}


@mutation(name="markets.scan_ended")
def scan_ended(run_id: str, result: dict[str, Any]) -> dict[str, int]:
    """A scan has ended: say how many of its analyses succeeded, and how many did not."""
    counts: dict[str, int] = result["value"]
    logger.info("scan.finish batch=%s %s", run_id, " ".join(f"{name}={count}" for name, count in counts.items()))
    return counts


def analysis(market_id: int) -> Call:
    """The call that schedules an analysis by hand, unless one was asked for so within the last minute."""
    return Call(analyse_market, {"market_id": market_id}, key=str(market_id), key_mode="throttle", window=AGAIN)


def most_traded(top: int) -> list[int]:
    """The ids of the open binary markets with the most volume, of the enabled exchanges that give prices."""
    markets = Market.objects.open().filter(kind=Market.Kind.BINARY, exchange__in=list(QUOTES), exchange__enabled=True)
    return list(markets.order_by("-volume", "pk").values_list("pk", flat=True)[:top])


def under_way() -> set[int]:
    """The ids of the markets that a scan leaves alone."""
    recent = Q(created_at__gt=clock.now() - WINDOW) | Q(finished_at=None)
    jobs = Job.objects.filter(recent, name=analyse_market.name)
    return {args["market_id"] for args in jobs.values_list("args", flat=True)}


def said(error: StepFailed) -> str:
    """What went wrong in a step, without the name of its error."""
    lines = error.error.strip().splitlines()
    return CLASS.sub("", lines[-1].strip()) if lines else "failed"
