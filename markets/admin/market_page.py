"""What a market's page shows: its prices with the whale trades on them, what whales traded, its topic, its reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.urls import reverse

from markets.admin import charts
from markets.admin.report import others
from markets.admin.report_words import amount
from markets.admin.trade import SIDES
from markets.admin.words import cents, dollars, money
from markets.models import Market
from scheduling.admin import display

WINDOWS = {"1": "day", "7": "7 days", "30": "30 days", "365": "year"}
DAYS = "7"
PRICES, TRADES, MARKS, NEWEST, REPORTS, CHILDREN = 2_000, 2_000, 100, 10, 5, 200
"""How many of each are read or shown at most; of trades the largest are marked."""
COLUMNS = 48


def chart(market: Market, now: datetime, days: str) -> dict[str, Any]:
    """Its prices and whale trades of the last days, in two queries, however many there are."""
    chosen = days if days in WINDOWS else DAYS
    span = charts.Span(since=now - timedelta(days=int(chosen)), until=now)
    prices = market.prices.filter(at__gt=span.since).order_by("-at").values_list("at", "price")
    points = list(prices[:PRICES])[::-1]
    trades = list(
        market.trades.filter(traded_at__gt=span.since)
        .order_by("-traded_at")
        .values("traded_at", "side", "outcome", "price", "usd", "sampled")[:TRADES]
    )
    label = f"prices of the last {WINDOWS[chosen]}"
    return {
        "windows": [(key, words, key == chosen) for key, words in WINDOWS.items()],
        "prices": charts.line(points, span, label=label, number=money, marks=marks(trades)),
        "volume": charts.bars(columns(trades, span), span, label="what whales traded", number=dollars),
        "scale": charts.below(span),
        "is_cut": len(trades) == TRADES or len(points) == PRICES,
        "trades": [trade | {"when": display.moment(trade["traded_at"], now),
                            "badge": display.badge(SIDES.get(trade["side"], ""), trade["side"]),
                            "usd": dollars(trade["usd"]), "price": money(trade["price"])}
                   for trade in trades[:NEWEST]],
        "all_trades": f"{reverse('admin:markets_whaletrade_changelist')}?market__id__exact={market.pk}",
        "all_prices": f"{reverse('admin:markets_pricesnapshot_changelist')}?market__id__exact={market.pk}",
    }  # fmt: skip


def marks(trades: Sequence[dict[str, Any]]) -> list[charts.Mark]:
    """The largest of some trades, as marks; the small ones are drawn last."""
    largest = sorted(trades, key=lambda trade: trade["usd"], reverse=True)[:MARKS]
    most = float(largest[0]["usd"]) if largest else 0.0
    return [
        charts.Mark(
            at=trade["traded_at"],
            kind=SIDES.get(trade["side"], ""),
            weight=(float(trade["usd"]) / most) ** 0.5 if most else 0.0,
            words=f"{trade['traded_at']:%Y-%m-%d %H:%M} UTC: {trade['side']} {display.shortened(trade['outcome'], 40)} "
            f"at {money(trade['price'])} for {dollars(trade['usd'])}",
        )
        for trade in largest
    ]


def columns(trades: Sequence[dict[str, Any]], span: charts.Span) -> list[tuple[datetime, datetime, dict[str, Decimal]]]:
    """What was bought and sold in each part of the time, as columns."""
    width = (span.until - span.since) / COLUMNS
    sums: dict[int, dict[str, Decimal]] = {}
    for trade in trades:
        place = min(int((trade["traded_at"] - span.since) / width), COLUMNS - 1)
        parts = sums.setdefault(place, {"success": Decimal(0), "failed": Decimal(0)})
        parts[SIDES.get(trade["side"], "success")] += trade["usd"]
    return [
        (span.since + place * width, span.since + (place + 1) * width, parts) for place, parts in sorted(sums.items())
    ]


def beside(market: Market) -> list[dict[str, Any]]:
    """What is below a topic, or beside a market in its topic: the most traded first."""
    if market.kind == Market.Kind.CATEGORICAL:
        rows = market.children.all()
    elif market.parent_id:
        rows = Market.objects.filter(parent=market.parent_id).exclude(pk=market.pk)
    else:
        return []
    return [
        {"market": row, "badge": display.badge(row.status), "volume": money(row.volume), "price": money(row.last_price)}
        for row in rows.order_by("-volume", "-pk").defer("labels")[:CHILDREN]
    ]


def reports(market: Market, now: datetime) -> dict[str, Any]:
    """Its newest reports, and what the last of them says of other markets."""
    found = list(market.reports.order_by("-created_at", "-pk")[:REPORTS])
    last = found[0].figures if found else {}
    rows = [
        {
            "report": report,
            "made": display.moment(report.created_at, now),
            "price": money(amount(report.figures.get("price"))),
            **{name: _cents(report.figures.get(name)) for name in ("spread", "volatility_day", "largest_difference")},
        }
        for report in found
    ]
    url = f"{reverse('admin:markets_report_changelist')}?market__id__exact={market.pk}"
    return {"rows": rows, "all": url, "elsewhere": others(last, "elsewhere"), "related": others(last, "related")}


def _cents(value: str | None) -> str:
    return display.NOTHING if value is None else cents(Decimal(value))
