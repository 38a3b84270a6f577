"""Whale trades, as they were read: the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.admin.words import dollars, money, outside
from markets.models import WhaleTrade
from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin

NEWEST = 100_000  # trades among which rare ones are looked for: no index leads to them
SIDES = {"buy": "success", "sell": "failed"}
"""The colours of the two sides."""


def among_the_newest(trades: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the last 100,000 that came in."""
    newest = WhaleTrade.objects.aggregate(id=Max("id"))["id"] or 0
    return trades.filter(id__gt=newest - NEWEST)


class ByAmount(admin.SimpleListFilter):
    """By what they were worth at least."""

    title, parameter_name = f"amount (newest {NEWEST:,} trades)", "usd"
    STEPS = (5_000, 10_000, 50_000, 100_000, 1_000_000)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(str(step), f"from ${step:,}") for step in self.STEPS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in map(str, self.STEPS):
            return queryset
        return among_the_newest(queryset).filter(usd__gte=Decimal(str(self.value())))


class BySampling(admin.SimpleListFilter):
    """By whether trades before them may not have been seen."""

    title, parameter_name = f"sampled (newest {NEWEST:,} trades)", "sampled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("1", "yes"), ("0", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("0", "1"):
            return queryset
        return among_the_newest(queryset).filter(sampled=self.value() == "1")


@admin.register(WhaleTrade)
class WhaleTradeAdmin(BigTableAdmin):
    """Read only; a trade's market is named once it is known."""

    list_display = ("when", "what", "side_badge", "worth", "amount", "at_price", "who", "source")
    list_display_links = None
    list_filter = ("exchange", "side", BySampling, ByAmount)
    keyset = ("traded_at", "id")

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        shown = ("title", "slug", "kind", "external_id", "exchange", "parent", "parent__kind", "parent__external_id")
        wanted = [field.name for field in WhaleTrade._meta.concrete_fields if field.name != "external_key"]
        return rows.select_related("market__parent").only(*wanted, *(f"market__{name}" for name in shown))

    @admin.display(description="At")
    def when(self, trade: Any) -> SafeString | str:
        return display.moment(trade.traded_at, trade.looked_at)

    @admin.display(description="Market, outcome")
    def what(self, trade: WhaleTrade) -> SafeString:
        outcome = display.shortened(trade.outcome, 60)
        if trade.market is None:
            return display.stacked(format_html('<span class="quiet">{}</span>', "not known yet"), outcome)
        url = reverse("admin:markets_market_change", args=[trade.market_id])
        return display.stacked(
            format_html('<a href="{}">{}</a>', url, display.shortened(trade.market.title, 110)), outcome
        )

    @admin.display(description="Side")
    def side_badge(self, trade: WhaleTrade) -> SafeString:
        sampled = format_html('<span title="{}">sampled</span>', "trades before it may not have been seen")
        return display.stacked(display.badge(SIDES.get(trade.side, ""), trade.side), sampled if trade.sampled else "")

    @admin.display(description="Worth")
    def worth(self, trade: WhaleTrade) -> SafeString:
        return format_html('<span title="{}">{}</span>', trade.usd, dollars(trade.usd))

    @admin.display(description="Shares")
    def amount(self, trade: WhaleTrade) -> SafeString:
        return format_html('<span title="{}">{}</span>', trade.size, money(trade.size))

    @admin.display(description="Price")
    def at_price(self, trade: WhaleTrade) -> str:
        return money(trade.price)

    @admin.display(description="Wallet")
    def who(self, trade: WhaleTrade) -> SafeString | str:
        if not trade.wallet:
            return display.NOTHING
        short = trade.wallet if len(trade.wallet) <= 13 else f"{trade.wallet[:6]}…{trade.wallet[-4:]}"
        return format_html('<code title="{}">{}</code>', trade.wallet, short)

    @admin.display(description="Exchange")
    def source(self, trade: WhaleTrade) -> SafeString:
        return display.stacked(trade.exchange_id, outside(trade.market, "its page"))
