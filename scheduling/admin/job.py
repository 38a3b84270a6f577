"""Jobs: the queue and the run history. A job is looked at, canceled and run again, and never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Left, Length, Right
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import scheduler
from scheduling.admin import display
from scheduling.admin.base import MOST_AT_ONCE, NumberedAdmin, VerbsAdmin, counted
from scheduling.admin.filters import ByBatch, ByCron, ByFunction, ByHost, ByPeriod
from scheduling.admin.job_page import page
from scheduling.admin.workflow_words import due
from scheduling.conf import conf
from scheduling.exceptions import NotFinished, SchedulingError
from scheduling.models import Job

HEAD, TAIL = 200, 400  # characters of arguments and of an error that a list reads
LARGE = ("args", "result", "error", "log", "context", "policy", "on_complete")


@admin.register(Job)
class JobAdmin(VerbsAdmin, NumberedAdmin):
    """The list reads a page by its key, without what is large; one job's page shows all of it."""

    change_form_template = "admin/scheduling/job/page.html"
    list_display = (
        "number",
        "state_badge",
        "what",
        "due",
        "started",
        "finished",
        "took",
    )
    list_filter = ("state", ByPeriod, ByFunction, ByCron, ByBatch, ByHost)
    search_help_text = "An id, or the exact name of a function."
    actions = ("cancel", "retry")
    verbs = {"cancel": "Cancel", "retry": "Run again"}

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        short = {"args_head": Left("args", HEAD), "args_length": Length("args"), "error_tail": Right("error", TAIL)}
        listed: QuerySet[Any] = rows.defer(*LARGE).annotate(**short)
        return listed

    def by_words(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(name=term)

    def page(self, request: HttpRequest, obj: Job) -> dict[str, Any]:
        verbs = ("retry",) if obj.is_final else ("cancel",)
        return page(obj, obj.looked_at) | {"buttons": self.buttons(request, obj, *verbs)}  # type: ignore[attr-defined]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.cancel_job")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.retry_job")

    @admin.action(permissions=["cancel"], description="Cancel selected jobs")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Cancel those that have not ended, each with its entry in the log of operators' acts."""
        done = [self._cancel(request, job) for job in self._some(request, queryset)]
        late = len(done) - sum(done)
        self._say(request, sum(done), counted((sum(done), "canceled"), (late, "had ended already")))

    @admin.action(permissions=["retry"], description="Run selected jobs again")
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Run those that have ended again, each as a new job."""
        again, running, refused = [], 0, []
        for job in self._some(request, queryset):
            try:
                again.append(self._retry(request, job))
            except NotFinished:
                running += 1
            except SchedulingError as error:
                refused.append(f"{job}: {error}")
        words = "runs" if len(again) == 1 else "run"
        new = f" as {display.shortened(', '.join(f'#{job.pk}' for job in again))}" if again else ""
        parts = ((len(again), f"{words} again{new}"), (running, "had not ended"), (len(refused), "could not"))
        self._say(request, len(again), counted(*parts))
        for reason in refused[:5]:
            self.message_user(request, reason, messages.ERROR)

    def _some(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Job]:
        """The jobs of one action, oldest first, without what is large; says so where there are too many."""
        jobs = list(queryset.order_by("pk").defer(*LARGE)[: MOST_AT_ONCE + 1])
        if len(jobs) > MOST_AT_ONCE:
            words = f"Only the oldest {MOST_AT_ONCE:,} of them, as that is the most at once: do it again for more."
            self.message_user(request, words, messages.WARNING)
        return jobs[:MOST_AT_ONCE]

    def _cancel(self, request: HttpRequest, job: Job) -> bool:
        with transaction.atomic(using=conf().database):
            canceled = scheduler.cancel(job)
            if canceled:
                self.log_change(request, job, "Canceled.")
        return canceled

    def _retry(self, request: HttpRequest, job: Job) -> Job:
        with transaction.atomic(using=conf().database):
            new = scheduler.retry(job)
            self.log_change(request, job, f"Run again as #{new.pk}.")
        return new

    def _say(self, request: HttpRequest, done: int, words: str) -> None:
        level = messages.SUCCESS if done else messages.WARNING
        self.message_user(request, f"{words or 'nothing to do'}.", level)

    @admin.display(description="Job")
    def number(self, job: Job) -> str:
        return f"#{job.pk}"

    @admin.display(description="State")
    def state_badge(self, job: Job) -> SafeString:
        return format_html("{}{}", display.badge(job.state), display.progress(job))

    @admin.display(description="Function, cron, arguments, error")
    def what(self, job: Any) -> SafeString:
        text = display.arguments(job.args_head + "…" * (job.args_length > HEAD))
        error = display.last_line(job.error_tail)
        return display.stacked(
            format_html('<strong class="function">{}</strong>{}', job.name, self._cron(job)),
            format_html('<code class="one-line" title="{0}">{0}</code>', text) if text else "",
            format_html('<span class="error-line one-line" title="{0}">{0}</span>', error) if error else "",
        )

    def _cron(self, job: Job) -> SafeString | str:
        if not job.cron:
            return ""
        url = reverse("admin:scheduling_cron_named", args=[job.cron])
        return format_html(' <span class="quiet">by</span> <a href="{}">{}</a>', url, job.cron)

    @admin.display(description="Due")
    def due(self, job: Any) -> SafeString | str:
        return due(job, job.looked_at)

    @admin.display(description="Started")
    def started(self, job: Any) -> SafeString | str:
        return display.moment(job.started_at, job.looked_at)

    @admin.display(description="Finished")
    def finished(self, job: Any) -> SafeString | str:
        return display.moment(job.finished_at, job.looked_at)

    @admin.display(description="Took")
    def took(self, job: Any) -> SafeString:
        attempts = f"{job.attempt} attempts" if job.attempt > 1 else ""
        return display.stacked(display.duration(display.took(job, job.looked_at)), attempts)
