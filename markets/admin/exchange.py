"""Exchanges: switched on and off, synced by hand; whether a key is there, never the key."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets import conf, freshness
from markets.admin import feeds
from markets.admin.exchange_verbs import ExchangeVerbs
from markets.exchanges import circuit as circuits
from markets.models import Exchange, SyncLog
from scheduling.admin import display
from scheduling.admin.base import ReadOnlyAdmin
from scheduling.admin.paging import Bounded

KEYS = {"opinion": lambda: bool(conf.opinion().key)}
SYNCS = 10  # that an exchange's page shows


@admin.register(Exchange)
class ExchangeAdmin(ExchangeVerbs, ReadOnlyAdmin):
    """Only `enabled` is changed here; exchanges are added by the setting EXCHANGES."""

    fields = ("enabled",)
    change_form_template = "admin/markets/exchange/page.html"
    list_display = ("title", "switched_on", "circuit", "key", "markets", "last_success", "last_sync", "links")
    actions = (*ExchangeVerbs.actions, "close_circuit")
    verbs = ExchangeVerbs.verbs | {"close_circuit": "Close the circuit"}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("markets.change_exchange")

    def get_queryset(self, request: HttpRequest) -> Any:
        return feeds.with_markets(freshness.with_logs(super().get_queryset(request)))

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = obj.looked_at
        logs = SyncLog.objects.filter(exchange=obj).order_by("-started_at", "-pk").defer("rejected_rows")[:SYNCS]
        return {
            "exchange": obj,
            "key": self.key(obj),
            "markets_count": str(Bounded(obj.market_count)),
            "synced": display.moment(obj.markets_synced_at, now),
            "logs": [(log, display.badge(log.state), display.moment(log.started_at, now)) for log in logs],
            "circuit": self.circuit(obj),
            "buttons": self.for_exchange(request, obj),
        }

    @admin.action(permissions=["change"], description="Close the circuits of selected exchanges")
    def close_circuit(self, request: HttpRequest, queryset: Any) -> None:
        """Let each be asked again at once, whatever failed and however long it asked to be left alone."""
        for exchange in queryset:
            with transaction.atomic():
                closed = circuits.close(exchange.pk)
                if closed:
                    self.log_change(request, exchange, f"Circuit closed after {exchange.failures} failures.")
            words = "is asked again from now on" if closed else "had no failure to forget"
            self.message_user(request, f"{exchange} {words}.", messages.SUCCESS if closed else messages.WARNING)

    @admin.display(description="On")
    def switched_on(self, exchange: Exchange) -> SafeString:
        return display.badge("active", "on") if exchange.enabled else display.badge("off", "off")

    @admin.display(description="Circuit")
    def circuit(self, exchange: Any) -> SafeString:
        until, now = exchange.closed_until, exchange.looked_at
        state = circuits.state(exchange, now)
        if state == "half-open":
            return display.badge("late", "half-open")
        if until is None or until <= now:
            return display.badge("active", "closed")
        shown = display.badge("failed", "open") if state == "open" else display.badge("paused", "asked to wait")
        return display.stacked(shown, display.ago(until, now))

    @admin.display(description="Key")
    def key(self, exchange: Exchange) -> str:
        if exchange.pk not in KEYS:
            return "needs none"
        return "present" if KEYS[exchange.pk]() else "none: public access"

    @admin.display(description="Markets")
    def markets(self, exchange: Any) -> str:
        return str(Bounded(exchange.market_count))

    @admin.display(description="Last success")
    def last_success(self, exchange: Any) -> SafeString | str:
        return display.moment(exchange.markets_synced_at, exchange.looked_at, "never")

    @admin.display(description="Last sync")
    def last_sync(self, exchange: Any) -> SafeString | str:
        if exchange.markets_last_id is None:
            return display.NOTHING
        url = reverse("admin:markets_synclog_change", args=[exchange.markets_last_id])
        link = format_html('<a href="{}">{}</a>', url, display.badge(exchange.markets_last_state))
        return display.stacked(link, display.ago(exchange.markets_last_at, exchange.looked_at))

    @admin.display(description="")
    def links(self, exchange: Exchange) -> SafeString:
        return format_html(
            '<a href="{}?exchange__id__exact={}">its markets</a>',
            reverse("admin:markets_market_changelist"),
            exchange.pk,
        )
