"""What the markets came to, hour by hour: a list, and charts above it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from markets.admin import charts
from markets.admin.words import dollars, money
from markets.models import Exchange, MarketStats
from scheduling import clock
from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin

SHOWN = timedelta(days=30)
MOST = 800  # points of a chart: an hour each
TOGETHER = "together"


class ByExchange(admin.SimpleListFilter):
    """Of one exchange, or of all of them together."""

    title, parameter_name = "exchange", "exchange"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(TOGETHER, "all together"), *Exchange.objects.order_by("pk").values_list("pk", "title")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = (self.value() or "").replace("\0", "")
        return queryset.filter(exchange=None if chosen == TOGETHER else chosen) if chosen else queryset


@admin.register(MarketStats)
class MarketStatsAdmin(BigTableAdmin):
    """Newest first; the charts are of the chosen exchange, or of all together."""

    change_list_template = "admin/markets/marketstats/list.html"
    list_display = ("when", "source", "total", "active", "volume", "price")
    list_display_links = None
    list_filter = (ByExchange,)
    keyset = ("computed_at", "id")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        chosen = request.GET.get(ByExchange.parameter_name, "").replace("\0", "") or TOGETHER
        return super().changelist_view(request, drawn(chosen) | (extra_context or {}))

    @admin.display(description="Computed")
    def when(self, stats: Any) -> SafeString | str:
        return display.moment(stats.computed_at, stats.looked_at)

    @admin.display(description="Exchange")
    def source(self, stats: MarketStats) -> str:
        return str(stats.exchange_id or "all together")

    @admin.display(description="Markets")
    def total(self, stats: MarketStats) -> str:
        return f"{stats.total_markets:,}"

    @admin.display(description="Active")
    def active(self, stats: MarketStats) -> str:
        return f"{stats.active_markets:,}"

    @admin.display(description="Volume")
    def volume(self, stats: MarketStats) -> str:
        return dollars(stats.total_volume)

    @admin.display(description="Average price")
    def price(self, stats: MarketStats) -> str:
        return money(stats.average_price)


def drawn(exchange: str) -> dict[str, Any]:
    """The charts of the last 30 days, of one exchange or of all together: one query."""
    now = clock.now()
    rows = MarketStats.objects.filter(exchange=None if exchange == TOGETHER else exchange, computed_at__gte=now - SHOWN)
    fields = ("computed_at", "total_volume", "active_markets", "average_price")
    found = list(rows.order_by("-computed_at").values_list(*fields)[:MOST])[::-1]
    span = charts.Span(since=found[0][0] if found else now - SHOWN, until=now)
    series = [
        ("Volume so far", [(at, volume) for at, volume, _, _ in found], dollars),
        ("Active markets", [(at, Decimal(active)) for at, _, active, _ in found], lambda count: f"{count:,.0f}"),
        ("Average price", [(at, price) for at, _, _, price in found if price is not None], money),
    ]
    return {
        "of": exchange,
        "charts": [
            (title, charts.line(points, span, label=f"{title} of the last 30 days", number=number))
            for title, points, number in series
        ],
        "scale": charts.below(span),
    }
