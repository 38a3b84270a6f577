"""Pools: how many of their jobs run and wait; how many may run at once is changed here; pause, resume, reset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import pauses, pools
from scheduling.admin import display, pausing, tallies, waiting
from scheduling.admin.base import CompletedList, NamedAdmin, ReadOnlyAdmin, changes
from scheduling.admin.waiting import Waiting
from scheduling.conf import conf
from scheduling.exceptions import SchedulingError
from scheduling.models import Job, Paused, Pool

if TYPE_CHECKING:
    PoolModelForm = forms.ModelForm[Pool]
else:
    PoolModelForm = forms.ModelForm

FULLEST = 3  # keys that the list names
MOST_KEYS, MOST_RUNNING, MOST_NEXT = 20, 50, 20  # that a pool's page shows


class PoolForm(PoolModelForm):
    """How many run at once."""

    max_parallelism = forms.IntegerField(
        label="At most at once",
        min_value=0,
        max_value=pools.MOST,
        help_text="Over all hosts; of each value of its key where it has one. 0: none begins. Those that run end.",
    )

    class Meta:
        model = Pool
        fields = ("max_parallelism",)


@admin.register(Pool)
class PoolAdmin(NamedAdmin, ReadOnlyAdmin):
    """Pools are defined in code; here they are watched, resized and paused."""

    form = PoolForm
    fields = ("max_parallelism",)
    change_form_template = "admin/scheduling/pool/page.html"
    list_display = ("pool_name", "runs", "waits", "status", "steer")
    list_display_links = None
    list_per_page = 100
    search_fields = ("name",)
    ordering = ("name",)
    actions = None
    verbs = {"reset": "Reset to the code"}
    of_one = {"reset": "change"}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CompletedList]:
        return CompletedList

    def complete(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """What runs and waits in a page of pools, and what is paused of them: three queries."""
        running, waits, paused = tallies.running_in_pools(), waiting.look(), pausing.in_force(Paused.POOL)
        for pool in rows:
            pool.running = tallies.of_pool(running, pool.name)
            pool.waiting = waits.of_pool(pool.name)
            pool.pause = paused.get(pool.name)
            pool.may_pause = pausing.may_pause(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("scheduling.change_pool")

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        return changes(form)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if form.changed_data:
            pools.resize(obj.name, form.cleaned_data["max_parallelism"])

    def reset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Undo what operators changed."""
        for pool in queryset:
            try:
                with transaction.atomic(using=conf().database):
                    pools.reset(pool.name)
                    self.log_change(request, pool, "Reset to the code.")
            except SchedulingError as error:
                self.message_user(request, f"{error}.", "error")
            else:
                self.message_user(request, f"Again as the code says: {pool}.")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now, running = obj.looked_at, tallies.of_pool(tallies.running_in_pools(), obj.name)
        waits = waiting.look().of_pool(obj.name)
        standstill = list(pauses.of_pool(obj.name))
        own = next((pause for pause in standstill if pause.kind == Paused.POOL), None)
        here = Job.objects.running().filter(pool__in=list(running)).exclude(pool="")
        at_work = here.only("id", "name", "pool", "state", "started_at", "finished_at").order_by("started_at", "id")
        return {
            "pool": obj,
            "runs": usage(obj, running),
            "waits": str(waits),
            "keys": by_key(obj, running, waits) if obj.key else [],
            "more_keys": max(0, len(running.keys() | waits.by_lane().keys()) - MOST_KEYS),
            "declared": (obj.declared or {}).get("max_parallelism"),
            "is_changed": is_changed(obj),
            "pauses": [pausing.sentence(pause, now) for pause in standstill],
            "resume_url": pausing.resume_url(own) if own else "",
            "pause_url": pausing.form_url(Paused.POOL, obj.name),
            "may_pause": pausing.may_pause(request),
            "running": [
                (job, key_of(job.pool), display.duration(display.took(job, now))) for job in at_work[:MOST_RUNNING]
            ],
            "next": [
                (job, key_of(job.pool), display.moment(job.run_at, now)) for job in waits.next_jobs(now, MOST_NEXT)
            ],
            "buttons": self.buttons(request, obj, "reset") if is_changed(obj) else [],
        }

    @admin.display(description="Pool", ordering="name")
    def pool_name(self, pool: Pool) -> SafeString:
        url = reverse("admin:scheduling_pool_change", args=[pool.pk])
        link = format_html('<a class="name" href="{}">{}</a>', url, pool.name)
        return display.stacked(link, f"counted by {pool.key}" if pool.key else "")

    @admin.display(description="Running")
    def runs(self, pool: Any) -> SafeString:
        return usage(pool, pool.running)

    @admin.display(description="Due, and waiting")
    def waits(self, pool: Any) -> str:
        return str(pool.waiting)

    @admin.display(description="State")
    def status(self, pool: Any) -> SafeString:
        return display.stacked(pausing.status(pool.pause, pool.looked_at), changed_here(pool))

    @admin.display(description="")
    def steer(self, pool: Any) -> SafeString | str:
        if not pool.may_pause:
            return ""
        if pool.pause is None:
            return format_html('<a class="small-button" href="{}">Pause…</a>', pausing.form_url(Paused.POOL, pool.name))
        return pausing.resume_button(pool.pause)


def usage(pool: Pool, running: Counter[str]) -> SafeString:
    """`3 of 10` with a bar; where it counts by key, its fullest keys."""
    most = pool.max_parallelism
    if not pool.key:
        return _bar(running.total(), most)
    words = f"{running.total()} in {len(running)} {'key' if len(running) == 1 else 'keys'}, at most {most} each"
    fullest = (_bar(running[counted], most, key_of(counted)) for counted in fullest_first(running)[:FULLEST])
    return display.stacked(words if running else f"none, at most {most} each", *fullest)


def by_key(pool: Pool, running: Counter[str], waits: Waiting) -> list[tuple[str, SafeString, str]]:
    """The keys in use, those first where most run: each with its bar and what waits."""
    lanes = waits.by_lane()
    keys = fullest_first(running)[:MOST_KEYS]
    keys += sorted(lanes.keys() - running.keys())[: MOST_KEYS - len(keys)]
    return [(key_of(key), _bar(running[key], pool.max_parallelism), str(lanes.get(key, 0))) for key in keys]


def fullest_first(running: Counter[str]) -> list[str]:
    """What is counted against, in the order of how many run."""
    return sorted(running, key=lambda counted: (-running[counted], counted))


def key_of(counted: str) -> str:
    """The value of the key in a job's `pool`; "" where there is none."""
    return counted.partition("/")[2]


def is_changed(pool: Pool) -> bool:
    """Whether an operator's value differs from the code's."""
    return bool(pool.declared) and pool.declared.get("max_parallelism") != pool.max_parallelism


def changed_here(pool: Pool) -> SafeString | str:
    """That it is not as the code says, and what that is."""
    if not is_changed(pool):
        return ""
    code = pool.declared["max_parallelism"]
    return format_html('{} <span class="quiet">the code says {}</span>', display.badge("changed", "changed here"), code)


def _bar(count: int, most: int, key: str = "") -> SafeString:
    name = format_html("<code>{}</code>: ", display.shortened(key, 30)) if key else ""
    return format_html("{}{} of {} {}", name, count, most, display.fill(count, most, warn=count >= most))
