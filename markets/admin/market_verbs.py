"""What operators do with markets: have them analysed, and have their prices kept."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from markets.analysis.functions import analysis
from markets.exchanges import QUOTES
from markets.models import Market
from scheduling import scheduler
from scheduling.admin.base import VerbsAdmin, counted
from scheduling.conf import conf

MOST = 100  # markets that one action acts on


class MarketVerbs(VerbsAdmin):
    """Each asks for a permission, and leaves an entry in the log of operators' acts."""

    actions = ("analyse", "watch", "unwatch")
    verbs = {"analyse": "Analyse now", "watch": "Watch", "unwatch": "Unwatch"}

    def has_analyse_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("markets.add_report")

    def has_watch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("markets.change_market")

    @admin.action(permissions=["analyse"], description="Analyse selected markets now")
    def analyse(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Schedule an analysis of each, unless one was asked for within the last minute."""
        for market in self._some(request, queryset):
            if refused := _unpriced(market):
                self.message_user(request, f"{market}: {refused}.", messages.WARNING)
                continue
            with transaction.atomic(using=conf().database):
                (job,) = scheduler.bulk([analysis(market.pk)])
                if job.created:
                    self.log_change(request, market, f"Analysis scheduled as #{job.pk}.")
            words = "{} is analysed by job {}." if job.created else "{} is analysed already, by job {}."
            url = reverse("admin:scheduling_job_change", args=[job.pk])
            self.message_user(request, format_html(words, market, format_html('<a href="{}">#{}</a>', url, job.pk)))

    @admin.action(permissions=["watch"], description="Watch selected markets")
    def watch(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Have the prices of these kept over time."""
        self._set(request, queryset, watched=True, words="Watched.")

    @admin.action(permissions=["watch"], description="Unwatch selected markets")
    def unwatch(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Ask for the prices of these no more."""
        self._set(request, queryset, watched=False, words="No longer watched.")

    def for_market(self, request: HttpRequest, market: Market) -> list[dict[str, str]]:
        """The buttons of a market's page."""
        if _unpriced(market):
            return []
        return self.buttons(request, market, "analyse", "unwatch" if market.watched else "watch")

    def _set(self, request: HttpRequest, queryset: QuerySet[Any], *, watched: bool, words: str) -> None:
        changed, same, refused = 0, 0, 0
        for market in self._some(request, queryset):
            if watched and _unpriced(market):
                refused += 1
                continue
            with transaction.atomic():
                done = Market.objects.filter(pk=market.pk, watched=not watched).update(watched=watched)
                if done:
                    self.log_change(request, market, words)
            changed, same = changed + done, same + (not done)
        verb = "watched" if watched else "no longer watched"
        parts = ((changed, verb), (same, f"{'were' if watched else 'were not'} watched before"))
        said = counted(*parts, (refused, "have no price that could be asked for"))
        self.message_user(request, f"{said}.", messages.SUCCESS if changed else messages.WARNING)

    def _some(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The markets of one action; says so where there are too many."""
        markets = list(queryset.order_by("pk").defer("labels")[: MOST + 1])
        if len(markets) > MOST:
            self.message_user(request, f"Only the first {MOST} of them: that is the most at once.", messages.WARNING)
        return markets[:MOST]


def _unpriced(market: Market) -> str:
    """Why a market's price cannot be asked for; "": it can."""
    if market.kind != Market.Kind.BINARY:
        return "a topic has no price; the markets below it do"
    return "" if market.exchange_id in QUOTES else f"{market.exchange_id} cannot be asked for prices yet"
