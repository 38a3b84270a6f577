"""Alerts: what is wrong now, and what was. Read only: they open and resolve by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin
from scheduling.models import Alert


class ByState(admin.SimpleListFilter):
    """Those that are open, or those that are over."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("open", "open"), ("resolved", "resolved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = {"open": True, "resolved": False}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(resolved_at__isnull=wanted)


@admin.register(Alert)
class AlertAdmin(BigTableAdmin):
    """The newest first."""

    change_form_template = "admin/scheduling/alert/page.html"
    keyset = ("opened_at", "id")
    list_display = ("what", "kind", "state", "opened", "resolved")
    list_filter = (ByState,)
    search_fields = ("title", "key")

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.defer("detail")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {
            "alert": obj,
            "state": self.state(obj),
            "opened": display.moment(obj.opened_at, obj.looked_at),
            "resolved": display.moment(obj.resolved_at, obj.looked_at),
            "lasted": display.duration((obj.resolved_at or obj.looked_at) - obj.opened_at),
        }

    @admin.display(description="Alert")
    def what(self, alert: Alert) -> SafeString:
        return display.stacked(display.shortened(alert.title), alert.key)

    @admin.display(description="State")
    def state(self, alert: Alert) -> SafeString:
        return display.badge("failed", "open") if alert.resolved_at is None else display.badge("success", "resolved")

    @admin.display(description="Opened")
    def opened(self, alert: Any) -> SafeString | str:
        return display.moment(alert.opened_at, alert.looked_at)

    @admin.display(description="Resolved")
    def resolved(self, alert: Any) -> SafeString | str:
        return display.moment(alert.resolved_at, alert.looked_at)
