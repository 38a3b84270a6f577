"""Alerts of what analyses find: opened where a figure has passed its bound, resolved by the next one that has not."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from markets.analysis.figures import as_text
from markets.exchanges.cleaning import clean
from markets.models import Report
from scheduling import Permanent, alerts, mutation

DIFFERENCE = Decimal("0.1")
"""How far a price may be from another exchange's, in dollars of a YES share."""
VOLATILITY = Decimal("0.25")
"""How much a price may move in a day, likewise."""
KIND = "analysis"
LONGEST_NAME = 140


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A figure that people are told of."""

    figure: str
    words: str
    """What is said of it, with its amount in cents."""


BOUNDS = (
    Bound(figure="largest_difference", words="{} cents from what another exchange says"),
    Bound(figure="volatility_day", words="moves by {} cents in a day"),
)


@mutation(name="markets.tell_of_report")
def tell_of_report(report_id: int, difference: Decimal = DIFFERENCE, volatility: Decimal = VOLATILITY) -> list[str]:
    """Open an alert for each figure of a report that has reached its bound, and resolve those of the others.

    What the report does not know changes nothing. Gives the figures that are over.
    """
    report = Report.objects.select_related("market").filter(pk=report_id).first()
    if report is None:
        raise Permanent(f"no report has the id {report_id}")
    over = []
    for bound, most in zip(BOUNDS, (difference, volatility), strict=True):
        if (found := report.figures.get(bound.figure)) is None:
            continue
        amount = abs(Decimal(found))
        if amount < most:
            alerts.resolve(key(report.market_id, bound.figure))
            continue
        over.append(bound.figure)
        words = bound.words.format(in_cents(amount))
        alerts.open(
            key(report.market_id, bound.figure),
            kind=KIND,
            title=f"{name(report.market.title)}: {words}",
            detail=f"Report {report.pk} of market {report.market_id}, {report.market.exchange_id}. "
            f"{in_cents(most)} cents or more are told of.",
        )
    return over


def forget(market_id: int) -> None:
    """Resolve what is open of a market that will not be analysed again."""
    for bound in BOUNDS:
        alerts.resolve(key(market_id, bound.figure))


def key(market_id: int, figure: str) -> str:
    """The key of a figure's alert."""
    return f"market:{market_id}:{figure}"


def in_cents(amount: Decimal) -> str | None:
    """Dollars as cents, to a tenth of one."""
    return as_text(round(amount * 100, 1))


def name(title: str) -> str:
    """A market's title, cut for that of an alert."""
    return clean(title, most=LONGEST_NAME) or "A market without a title"
