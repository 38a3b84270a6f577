"""What the page of one job shows: the facts, its attempts, and where it comes from and leads to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import functions, lanes, pauses, waiting
from scheduling.admin import display, pausing
from scheduling.admin.workflow_links import is_workflow, link, step_of
from scheduling.admin.workflow_words import due, waits_for
from scheduling.backoff import Retry
from scheduling.cluster.outcomes import policy_of
from scheduling.exceptions import NotFound
from scheduling.models import Attempt, Job, State

MOST = 50  # attempts, and retries, that are shown
INFRASTRUCTURE = "It is run again by itself after a deadlock or a dead worker, which are no attempts."


def page(job: Job, now: datetime) -> dict[str, Any]:
    """The context of the template job/page.html, in three queries, and one each where it is pending, has a parent, and
    is a workflow that waits."""
    return {
        "job": job,
        "now": now,
        "badge": display.badge(job.state),
        "progress": display.progress(job),
        "took": display.duration(display.took(job, now)),
        "times": {
            "due": due(job, now),
            "scheduled_for": display.moment(job.scheduled_for, now),
            "created": display.moment(job.created_at, now),
            "started": display.moment(job.started_at, now),
            "finished": display.moment(job.finished_at, now),
            "expires": display.moment(job.expires_at, now),
        },
        "status": _of_workflow(job, now) or status(job, now),
        "pauses": pauses_of(job, now),
        "policy": policy(job),
        "workflow": link(job.pk, "its steps") if is_workflow(job) else "",
        "step_of": step_of(job),
        "arguments": display.pretty(job.args) if job.args else "",
        "result": display.pretty(job.result) if job.result is not None else "",
        "context_value": display.pretty(job.context) if job.context is not None else "",
        "attempts": [_attempt(attempt, job, now) for attempt in _attempts(job)],
        "retries": list(job.retries.order_by("pk").only("pk", "name", "state")[:MOST]),
    }


def status(job: Job, now: datetime) -> str:
    """Where a job stands, in a sentence."""
    if job.state == State.PENDING:
        if job.waits_for_id is not None:
            why = "which is before it in its backfill" if job.backfill else "which has the same key"
            return f"It waits for the end of #{job.waits_for_id}, {why}."
        if job.run_at > now:
            again = " again" if job.attempt else ""
            return f"It runs{again} {display.relative(now - job.run_at)}."
        return f"It has been due for {display.duration(now - job.run_at)} and waits for a worker."
    if job.state == State.IN_PROGRESS:
        if job.started_at is None:
            return "A host has claimed it and is about to start it."
        return f"Attempt {job.attempt} has been running for {display.duration(now - job.started_at)}."
    if job.state == State.SKIPPED:
        ticks = job.result.get("ticks", 1) if isinstance(job.result, dict) else 1
        return f"{ticks} {'tick' if ticks == 1 else 'ticks'} of its cron did not run."
    return ""


def policy(job: Job) -> str:
    """The retry policy of a job in words."""
    try:
        function = functions.get(job.name)
    except NotFound:
        return "No function of this name is known here."
    words = retry_words(policy_of(function, job.policy))
    return f"{words} {INFRASTRUCTURE}" if function.kind == "mutation" else words


def retry_words(retry: Retry | None) -> str:
    """A retry policy in words.

    >>> retry_words(Retry(initial_backoff=0.5, max_failures=3))
    'At most 4 attempts. The first wait is 500 ms, each later one 2 times as long; ±50%.'
    """
    if retry is None or not retry.max_failures:
        return "One attempt, without retries."
    cap = f", at most {display.duration(retry.max_backoff)}" if retry.max_backoff is not None else ""
    vary = f"; ±{retry.jitter:.0%}" if retry.jitter else ""
    first = display.duration(retry.initial_backoff)
    return (
        f"At most {retry.max_failures + 1} attempts. "
        f"The first wait is {first}, each later one {retry.base:g} times as long{cap}{vary}."
    )


def pauses_of(job: Job, now: datetime) -> list[SafeString]:
    """What keeps a pending job from beginning until somebody resumes it."""
    if job.state != State.PENDING:
        return []
    return [pausing.sentence(pause, now) for pause in pauses.of(job.name, lanes.pool_name(job.pool))]


def _of_workflow(job: Job, now: datetime) -> SafeString | str:
    """What a workflow waits for, in a sentence; "" for another job, and where it waits for nothing."""
    step = waiting.open_step(job) if job.state == State.PENDING else None
    waits = waits_for(job, step, now)
    return format_html("It waits for {}.", waits) if waits else ""


def _attempts(job: Job) -> list[Attempt]:
    return list(Attempt.objects.filter(job=job).select_related("host").order_by("-number")[:MOST])


def _attempt(attempt: Attempt, job: Job, now: datetime) -> dict[str, Any]:
    """One attempt; the last has the state of its job, those before it failed."""
    is_last = attempt.number == job.attempt and job.state != State.PENDING
    length = None
    if attempt.started_at is not None:
        length = (attempt.finished_at or now) - attempt.started_at
    return {
        "number": attempt.number,
        "badge": display.badge(job.state if is_last else State.FAILED),
        "started": display.moment(attempt.started_at, now),
        "took": display.duration(length),
        "host": attempt.host,
        "process": attempt.process,
        "error": attempt.error,
        "summary": display.last_line(attempt.error),
        "log": attempt.log,
    }
