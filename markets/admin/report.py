"""Reports of analyses: the newest first; one report in words, with a picture of its depth and its inputs' times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.admin import charts
from markets.admin.report_words import INPUTS, amount, depth, sentences
from markets.admin.words import cents, dollars, money
from markets.models import Report
from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin


@admin.register(Report)
class ReportAdmin(BigTableAdmin):
    """Read only."""

    change_form_template = "admin/markets/report/page.html"
    list_display = ("when", "what", "price", "spread", "volatility", "apart", "missing")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("market")

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.only("created_at", "figures", "inputs", "market", "market__title", "market__exchange")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {
            "title": display.shortened(obj.market.title),
            "report": obj,
            "made": display.moment(obj.created_at, obj.looked_at),
            "sentences": sentences(obj.figures),
            "depth": charts.depth(depth(obj.figures), dollars),
            "elsewhere": others(obj.figures, "elsewhere"),
            "related": others(obj.figures, "related"),
            "inputs": [_input(words, obj.inputs.get(name), obj.looked_at) for name, words in INPUTS.items()],
            "figures": display.pretty(obj.figures),
        }

    @admin.display(description="Made")
    def when(self, report: Any) -> SafeString | str:
        return display.moment(report.created_at, report.looked_at)

    @admin.display(description="Market")
    def what(self, report: Report) -> SafeString:
        return display.stacked(display.shortened(report.market.title, 110), report.market.exchange_id)

    @admin.display(description="Price")
    def price(self, report: Report) -> str:
        return money(amount(report.figures.get("price")))

    @admin.display(description="Spread")
    def spread(self, report: Report) -> str:
        return _cents(report.figures.get("spread"))

    @admin.display(description="Moves in a day")
    def volatility(self, report: Report) -> str:
        return _cents(report.figures.get("volatility_day"))

    @admin.display(description="Over other exchanges")
    def apart(self, report: Report) -> str:
        return _cents(report.figures.get("largest_difference"))

    @admin.display(description="Missing")
    def missing(self, report: Report) -> str:
        return ", ".join(name for name, said in report.inputs.items() if said.get("missing"))


def others(figures: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The markets that a report names, with what they cost."""
    return [
        {
            "url": reverse("admin:markets_market_change", args=[other["market"]]),
            "title": other["title"],
            "exchange": other["exchange"],
            "price": money(amount(other.get("price"))),
            "difference": _cents(other.get("difference")),
        }
        for other in figures.get(name) or ()
    ]


def _cents(value: str | None) -> str:
    return display.NOTHING if value is None else cents(Decimal(value))


def _input(words: str, said: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """How one input was had, for the table."""
    said = said or {}
    times = {name: parse_datetime(said[name]) if said.get(name) else None for name in ("read_at", "as_of")}
    state = display.badge("failed", "missing") if said.get("missing") else display.badge("success", "there")
    return {
        "words": words,
        "state": state if said else format_html('<span class="quiet">{}</span>', "not asked for"),
        "count": said.get("count"),
        "read_at": display.moment(times["read_at"], now),
        "as_of": display.moment(times["as_of"], now),
        "note": said.get("missing") or said.get("note") or "",
    }
