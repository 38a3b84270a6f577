"""Markets and their prices, as the exchanges last showed them: read only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.models import Market, PriceSnapshot
from scheduling import clock
from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin

CHILDREN, PRICES = 200, 60  # shown on a market's page
WIDTH, HEIGHT = 480, 80


def money(amount: Decimal | None) -> str:
    """An amount for people: whole from 1,000 on.

    >>> money(Decimal("1234567.8900")), money(Decimal("12.5000"))
    ('1,234,568', '12.5')
    """
    if amount is None:
        return display.NOTHING
    if amount >= 1000:
        return f"{amount:,.0f}"
    return f"{amount:.4f}".rstrip("0").rstrip(".") or "0"


class ByClosing(admin.SimpleListFilter):
    """By when an open market closes."""

    title, parameter_name = "closes", "closes"
    WINDOWS = {"1d": ("within a day", 1), "7d": ("within 7 days", 7), "30d": ("within 30 days", 30)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("past", "should have closed"), *((key, words) for key, (words, _days) in self.WINDOWS.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        if chosen != "past" and chosen not in self.WINDOWS:
            return queryset
        now, rows = clock.now(), queryset.filter(status=Market.Status.OPEN)
        if chosen == "past":
            return rows.filter(closes_at__lt=now)
        return rows.filter(closes_at__gte=now, closes_at__lt=now + timedelta(days=self.WINDOWS[chosen][1]))


@admin.register(Market)
class MarketAdmin(BigTableAdmin):
    """The most traded first."""

    change_form_template = "admin/markets/market/page.html"
    keyset = ("volume", "id")
    list_display = ("name", "source", "status_badge", "traded", "price", "closes", "changed")
    list_filter = ("exchange", "kind", "status", ByClosing)
    search_fields = ("title",)
    search_help_text = "Part of the title, or the exchange's id for it."

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.defer("labels", "yes_token", "no_token")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(title__icontains=term) | Q(external_id=term)), False

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = obj.looked_at
        children = obj.children.order_by("-volume", "-pk").defer("labels")[: CHILDREN + 1]
        prices = list(obj.prices.order_by("-at")[:PRICES])
        return {
            "market": obj,
            "badge": display.badge(obj.status),
            "volume": money(obj.volume),
            "price": money(obj.last_price),
            "labels": ", ".join(map(str, obj.labels)) if isinstance(obj.labels, list) else display.pretty(obj.labels),
            "times": {
                "closes": display.moment(obj.closes_at, now),
                "resolved": display.moment(obj.resolved_at, now),
                "first_seen": display.moment(obj.first_seen_at, now),
                "updated": display.moment(obj.updated_at, now),
                "priced": display.moment(obj.price_at, now),
            },
            "children": [(child, display.badge(child.status), money(child.volume), money(child.last_price))
                         for child in children[:CHILDREN]],
            "prices": prices,
            "line": line(prices),
            "prices_url": f"{reverse('admin:markets_pricesnapshot_changelist')}?market__id__exact={obj.pk}",
        }  # fmt: skip

    @admin.display(description="Market")
    def name(self, market: Market) -> SafeString:
        parts = [display.shortened(market.title, 110), f"{market.kind} {market.external_id}"]
        return display.stacked(*parts)

    @admin.display(description="Exchange")
    def source(self, market: Market) -> str:
        return str(market.exchange_id)

    @admin.display(description="Status")
    def status_badge(self, market: Market) -> SafeString:
        return display.badge(market.status)

    @admin.display(description="Volume")
    def traded(self, market: Market) -> SafeString:
        return format_html('<span title="{}">{}</span>', market.volume, money(market.volume))

    @admin.display(description="Price")
    def price(self, market: Market) -> str:
        return money(market.last_price)

    @admin.display(description="Closes")
    def closes(self, market: Any) -> SafeString | str:
        return display.moment(market.closes_at, market.looked_at)

    @admin.display(description="Last changed")
    def changed(self, market: Any) -> SafeString | str:
        return display.moment(market.updated_at, market.looked_at)


def line(prices: list[PriceSnapshot]) -> SafeString | str:
    """Prices (newest first) as an SVG line between 0 and 1; empty where there are too few."""
    if len(prices) < 2:
        return ""
    first, last = prices[-1].at, prices[0].at
    span = (last - first).total_seconds() or 1.0
    points = " ".join(
        f"{(price.at - first).total_seconds() / span * WIDTH:.1f},{HEIGHT * (1 - float(price.price)):.1f}"
        for price in reversed(prices)
    )
    return format_html(
        '<svg class="chart" viewBox="0 -2 {0} {2}" preserveAspectRatio="none" role="img" aria-label="{3}">'
        '<line class="axis" x1="0" x2="{0}" y1="{1}" y2="{1}"></line>'
        '<polyline class="line-of-prices" points="{4}"></polyline></svg>',
        *(WIDTH, HEIGHT, HEIGHT + 4, f"the last {len(prices)} prices", points),
    )


@admin.register(PriceSnapshot)
class PriceSnapshotAdmin(BigTableAdmin):
    """What shares cost at a time, newest first."""

    list_display = ("when", "market_link", "amount")
    list_display_links = None

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.select_related("market").only("at", "price", "market__title")

    @admin.display(description="At")
    def when(self, price: Any) -> SafeString | str:
        return display.moment(price.at, price.looked_at)

    @admin.display(description="Market")
    def market_link(self, price: PriceSnapshot) -> SafeString:
        url = reverse("admin:markets_market_change", args=[price.market_id])
        return format_html('<a href="{}">{}</a>', url, display.shortened(price.market.title))

    @admin.display(description="Price")
    def amount(self, price: PriceSnapshot) -> str:
        return money(price.price)
