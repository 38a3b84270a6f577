"""What of the analysis can be scheduled, and how much of it at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from markets.analysis.computing import compute
from markets.analysis.gathering import gather
from markets.analysis.storing import store
from markets.exceptions import NothingGathered, UnknownExchange
from markets.exchanges import QUOTES
from markets.models import Market
from scheduling import (
    Call,
    Permanent,
    Retry,
    RetryAfter,
    TokenBucket,
    action,
    context,
    limits,
    mutation,
    pools,
    scheduler,
)

ANALYSES = "market_analyses"
"""The name of their pool, and of their limit."""
A_MINUTE, AT_ONCE, MOST = 12, 2, 300
WINDOW = timedelta(minutes=30)
"""A scan leaves a market alone whose analysis a scan has scheduled in this time; a scan of the most takes 25 min."""
AGAIN = timedelta(minutes=1)
"""The same for an analysis that is asked for by hand."""

pools.define(ANALYSES, AT_ONCE)
# Some ten requests each: all together take a sixth of what Opinion allows without a key, and less of the others.
limits.define(ANALYSES, TokenBucket(rate=A_MINUTE, period=60, capacity=AT_ONCE))


@action(
    name="markets.analyse_market",
    retry=Retry(initial_backoff=5, base=2, max_failures=3),
    timeout=timedelta(minutes=3),
    pool=ANALYSES,
    rate_limit=ANALYSES,
)
def analyse_market(market_id: int) -> dict[str, Any]:
    """Gather book, prices, trades and related markets of one market, compute its figures, and store a report.

    What cannot be had leaves its figures null; where the exchange gives nothing at all it fails, and is tried again.
    A topic has no book, so it fails at once. Gives the report's id, and which inputs are missing.
    """
    market = Market.objects.select_related("parent").filter(pk=market_id).first()
    if market is None or market.kind != Market.Kind.BINARY:
        raise Permanent(f"no binary market has the id {market_id}: a topic is analysed by what is below it")
    try:
        gathered = gather(market)
    except UnknownExchange as error:
        raise Permanent(str(error)) from error
    except NothingGathered as error:
        if error.retry_after is not None:
            raise RetryAfter(error.retry_after, str(error)) from error
        raise
    report = store(gathered, compute(gathered), job_id=context.job_id)
    return {"report": report.pk, "missing": [name for name, each in gathered.inputs.items() if each.missing]}


@mutation(name="markets.deep_scan")
def deep_scan(top: Annotated[int, Field(ge=1, le=MOST)] = 20) -> dict[str, Any]:
    """Schedule an analysis of each of the open markets with the most volume, up to 300.

    Those that a scan has scheduled in the last half hour are not scheduled again, so a scan under way is not
    doubled. Gives the jobs, and how many of them are new.
    """
    # By their ids: of two scans at once one waits for the other, and never both.
    jobs = scheduler.bulk([analysis(market_id, window=WINDOW) for market_id in sorted(most_traded(top))])
    return {"jobs": [job.pk for job in jobs], "scheduled": sum(job.created for job in jobs)}


def analysis(market_id: int, *, window: timedelta = AGAIN) -> Call:
    """The call that schedules an analysis, unless one of the same market was scheduled within `window`."""
    return Call(analyse_market, {"market_id": market_id}, key=str(market_id), key_mode="throttle", window=window)


def most_traded(top: int) -> list[int]:
    """The ids of the open binary markets with the most volume, of the enabled exchanges that give prices."""
    markets = Market.objects.open().filter(kind=Market.Kind.BINARY, exchange__in=list(QUOTES), exchange__enabled=True)
    return list(markets.order_by("-volume", "pk").values_list("pk", flat=True)[:top])
