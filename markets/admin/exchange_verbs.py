"""What operators have exchanges do: sync their markets or trades now, read trades of the past again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from markets.backfill import BACK_TO, LONGEST
from markets.exchanges import CATALOGUES, TAPES
from markets.functions import backfill_trades, sync_markets, sync_whale_trades
from markets.models import Exchange
from scheduling import clock, scheduler
from scheduling.admin.base import VerbsAdmin
from scheduling.admin.inputs import LocalTime
from scheduling.conf import conf
from scheduling.functions import Function


class RangeForm(forms.Form):
    """Of which time trades are read again."""

    since = LocalTime(label="From")
    until = LocalTime(label="Up to", help_text=f"At most {LONGEST.days} days after it.")

    def clean(self) -> dict[str, Any]:
        """A time that has been, in order, and not too long."""
        said: dict[str, Any] = super().clean() or {}
        since, until = said.get("since"), said.get("until")
        if since and until:
            if not since < until <= clock.now():
                raise forms.ValidationError("It ends after it begins, and not in the future.")
            if until - since > LONGEST:
                raise forms.ValidationError(f"That is longer than {LONGEST.days} days: do it in parts.")
        return said


class ExchangeVerbs(VerbsAdmin):
    """Each schedules a job, and leaves an entry in the log of operators' acts."""

    actions = ("sync_now", "sync_trades")
    verbs = {"sync_now": "Sync markets now", "sync_trades": "Sync trades now", "backfill": "Backfill trades…"}
    of_one = {"backfill": "change"}

    @admin.action(permissions=["change"], description="Sync the markets of selected exchanges now")
    def sync_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Schedule a sync of each that is switched on and can be synced."""
        for exchange in queryset:
            if not self._refused(request, exchange, exchange.pk in CATALOGUES, "its markets cannot be synced yet"):
                self._schedule(request, exchange, sync_markets, "Sync of markets", {})

    @admin.action(permissions=["change"], description="Sync the trades of selected exchanges now")
    def sync_trades(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Schedule a sync of the trades of each that is switched on and has them."""
        for exchange in queryset:
            if not self._refused(request, exchange, exchange.pk in TAPES, "its trades cannot be synced yet"):
                self._schedule(request, exchange, sync_whale_trades, "Sync of trades", {})

    def backfill(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask for a time, and schedule that its trades are read again."""
        exchange = queryset.get()
        if self._refused(request, exchange, exchange.pk in BACK_TO, "trades of the past cannot be had from it"):
            return None
        now = clock.now()
        initial = {"since": now - timedelta(days=1), "until": now}
        form = RangeForm(request.POST if "since" in request.POST else None, initial=initial)
        if form.is_valid():
            self._backfill(request, exchange, form.cleaned_data["since"], form.cleaned_data["until"])
            return None
        context = self.admin_site.each_context(request) | {
            "title": f"Backfill trades of {exchange}",
            "opts": self.opts,
            "exchange": exchange,
            "form": form,
            "explained": BACK_TO[exchange.pk],
        }
        return TemplateResponse(request, "admin/markets/exchange/backfill.html", context)

    def for_exchange(self, request: HttpRequest, exchange: Exchange) -> list[dict[str, str]]:
        """The buttons of an exchange's page: what it can do."""
        can = {"sync_now": CATALOGUES, "sync_trades": TAPES, "backfill": BACK_TO}
        verbs = [verb for verb, having in can.items() if exchange.pk in having]
        if exchange.failures or exchange.closed_until:
            verbs.append("close_circuit")
        return self.buttons(request, exchange, *verbs)

    def _backfill(self, request: HttpRequest, exchange: Exchange, since: datetime, until: datetime) -> None:
        words = f"Backfill of trades from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
        self._schedule(request, exchange, backfill_trades, words, {"since": since, "until": until})

    def _refused(self, request: HttpRequest, exchange: Exchange, able: bool, why: str) -> bool:
        """Whether it cannot be done, which is said then."""
        refused = "" if able and exchange.enabled else why if not able else "it is switched off"
        if refused:
            self.message_user(request, f"{exchange}: {refused}.", messages.WARNING)
        return bool(refused)

    def _schedule(
        self, request: HttpRequest, exchange: Exchange, function: Function, words: str, args: dict[str, Any]
    ) -> None:
        with transaction.atomic(using=conf().database):
            job = scheduler.now(function, {"exchange": exchange.pk} | args)
            self.log_change(request, exchange, f"{words} scheduled as #{job.pk}.")
        url = reverse("admin:scheduling_job_change", args=[job.pk])
        self.message_user(request, format_html('{}: {} by job <a href="{}">#{}</a>.', exchange, words, url, job.pk))
