"""Markets and their prices, as the exchanges last showed them; operators have them analysed and watched."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.admin import market_page
from markets.admin.market_verbs import MarketVerbs
from markets.admin.words import money, outside
from markets.models import Market, PriceSnapshot
from scheduling import clock
from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin


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
class MarketAdmin(MarketVerbs, BigTableAdmin):
    """The most traded first."""

    change_form_template = "admin/markets/market/page.html"
    keyset = ("volume", "id")
    list_display = ("name", "source", "status_badge", "traded", "price", "closes", "changed")
    list_filter = ("exchange", "kind", "status", ByClosing, "watched")
    search_fields = ("title",)
    search_help_text = "Part of the title, or the exchange's id for it."

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.select_related(None).defer("labels", "yes_token", "no_token")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(title__icontains=term) | Q(external_id=term)), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("parent")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = obj.looked_at
        return {
            "title": display.shortened(obj.title),
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
            "outside": outside(obj, "its page there"),
            "chart": market_page.chart(obj, now, request.GET.get("days", "")),
            "beside": market_page.beside(obj),
            "reports": market_page.reports(obj, now),
            "buttons": self.for_market(request, obj),
        }

    @admin.display(description="Market")
    def name(self, market: Market) -> SafeString:
        watched = ", watched" if market.watched else ""
        return display.stacked(display.shortened(market.title, 110), f"{market.kind} {market.external_id}{watched}")

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
