"""Rate limits: what each allows, who has taken and who waits; changed here, filled up, reset to the code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import limits
from scheduling.admin import display, limit_page, tallies, waiting
from scheduling.admin.base import CompletedList, NamedAdmin, ReadOnlyAdmin, changes
from scheduling.admin.paging import Bounded
from scheduling.conf import conf
from scheduling.exceptions import SchedulingError
from scheduling.models import Limit

if TYPE_CHECKING:
    LimitModelForm = forms.ModelForm[Limit]
else:
    LimitModelForm = forms.ModelForm

LONGEST = 366 * 86400  # seconds of a period


class LimitForm(LimitModelForm):
    """What a limit allows; the row's own clean() refuses what cannot be one."""

    period = forms.FloatField(
        min_value=1e-6, max_value=LONGEST, help_text="Seconds: 60 is a minute, 3600 an hour, 86400 a day."
    )

    class Meta:
        model = Limit
        fields = limits.EDITABLE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["period"] = self.instance.period.total_seconds()
        for name, value in list(self.initial.items()):
            if isinstance(value, float) and value.is_integer():
                self.initial[name] = int(value)  # 60 rather than 60.0

    def clean_period(self) -> timedelta:
        return timedelta(seconds=self.cleaned_data["period"])


@admin.register(Limit)
class LimitAdmin(NamedAdmin, ReadOnlyAdmin):
    """Limits are defined in code; here they are watched, tuned and filled up."""

    form = LimitForm
    fields = limits.EDITABLE
    change_form_template = "admin/scheduling/limit/page.html"
    list_display = ("limit_name", "allows", "tokens", "jobs", "changed_here")
    list_display_links = None
    list_per_page = 100
    search_fields = ("name",)
    ordering = ("name",)
    actions = None
    verbs = {"reset": "Fill up", "reset_all": "Fill up all keys", "revert": "Reset to the code"}
    of_one = dict.fromkeys(verbs, "change")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        used = RawSQL(limit_page.KEYS_USED, [])  # noqa: S611 - text of ours
        rows: QuerySet[Any] = super().get_queryset(request).annotate(keys_used=used)
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CompletedList]:
        return CompletedList

    def complete(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """The tokens of a page of limits, and who waits for them: three queries."""
        unkeyed, waits, reserved = limit_page.unkeyed(rows), waiting.look(), tallies.reserved_of_limits()
        for limit in rows:
            limit.unkeyed = unkeyed[limit.pk]
            limit.waiting = waits.of_limit(limit.name)
            limit.reserved = tallies.of_limit(reserved, limit.name).total()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("scheduling.change_limit")

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        return changes(form)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if form.changed_data:
            limits.edit(obj.name, **{name: form.cleaned_data[name] for name in form.changed_data})

    def reset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Make a key full again, or what is taken without one."""
        limit, key = queryset.get(), request.POST.get("key")
        what = "what is taken without a key" if key is None else f"key {key}"
        try:
            with transaction.atomic(using=conf().database):
                limits.reset(limit.name, key)
                self.log_change(request, limit, f"Filled up: {what}.")
        except SchedulingError as error:
            self.message_user(request, f"{error}.", messages.ERROR)
        else:
            self.message_user(request, f"Full again: {limit}, {what}.")

    def reset_all(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Make all keys full again, 1,000 rows a transaction; logged first, as it may be cut off in between."""
        limit = queryset.get()
        self.log_change(request, limit, "Filled up: all keys.")
        limits.reset(limit.name, everything=True)
        self.message_user(request, f"Full again: {limit}, all keys.")

    def revert(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Undo what operators changed."""
        limit = queryset.get()
        try:
            with transaction.atomic(using=conf().database):
                limits.revert(limit.name)
                self.log_change(request, limit, "Reset to the code.")
        except SchedulingError as error:
            self.message_user(request, f"{error}.", messages.ERROR)
        else:
            self.message_user(request, f"Again as the code says: {limit}.")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now, first = obj.looked_at, request.GET.get("key", "").replace("\0", "")[:200]
        waits, reserved = waiting.look().of_limit(obj.name), tallies.of_limit(tallies.reserved_of_limits(), obj.name)
        keys, more = limit_page.keys(obj, first, now)
        differences = limit_page.differences(obj)
        return {
            "limit": obj,
            "kind": limit_page.KINDS[obj.kind],
            "words": limit_page.in_words(obj),
            "start": display.moment(obj.start, now),
            "differences": differences,
            "tokens": limit_page.tokens(obj, None, limit_page.unkeyed([obj])[obj.pk], now),
            "used": str(Bounded(obj.keys_used)),
            "first": first,
            "keys": keys,
            "more": more,
            "reset_url": self.verb_url(obj, "reset"),
            "waits": str(waits),
            "reserved": f"{reserved.total():,}",
            "waiting_jobs": limit_page.shown_jobs(waits.next_jobs(now, limit_page.MOST_JOBS), now),
            "reserved_jobs": limit_page.shown_jobs(limit_page.reserved_jobs(reserved), now),
            "buttons": self.buttons(request, obj, *self._verbs(obj, differences)),
        }

    def _verbs(self, limit: Any, differences: Sequence[Any]) -> list[str]:
        """The buttons that would do something."""
        verbs = ["reset"] if not limit.keys_used else ["reset", "reset_all"]
        return [*verbs, "revert"] if differences else verbs

    @admin.display(description="Limit", ordering="name")
    def limit_name(self, limit: Limit) -> SafeString:
        url = reverse("admin:scheduling_limit_change", args=[limit.pk])
        return format_html('<a class="name" href="{}">{}</a>', url, limit.name)

    @admin.display(description="Allows")
    def allows(self, limit: Limit) -> SafeString:
        return display.stacked(limit_page.in_words(limit), limit_page.KINDS[limit.kind])

    @admin.display(description="Tokens now")
    def tokens(self, limit: Any) -> SafeString:
        keys = f"{Bounded(limit.keys_used)} {'key' if limit.keys_used == 1 else 'keys'} used" if limit.keys_used else ""
        used_without = limit.unkeyed or not limit.keys_used
        bar = limit_page.tokens(limit, None, limit.unkeyed, limit.looked_at).bar if used_without else ""
        return display.stacked(bar, keys)

    @admin.display(description="Jobs")
    def jobs(self, limit: Any) -> str:
        return f"{limit.waiting} waiting, {limit.reserved:,} reserved"

    @admin.display(description="State")
    def changed_here(self, limit: Limit) -> SafeString | str:
        differences = limit_page.differences(limit)
        if not differences:
            return ""
        code = limit_page.words(limit.declared_configuration)  # type: ignore[arg-type]  # differs from something
        return display.stacked(display.badge("changed", "changed here"), f"the code says {code}")
