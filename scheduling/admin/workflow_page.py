"""What the page of one workflow shows: where it stands, its timeline, its journal, and where it comes from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import jsontext
from scheduling.admin import display, steps
from scheduling.admin.job_page import pauses_of, status
from scheduling.admin.steps import Line, Steps
from scheduling.admin.timeline import timeline
from scheduling.admin.workflow_links import link, step_of, step_url
from scheduling.admin.workflow_words import waits_for, why
from scheduling.models import Event, Job, State
from scheduling.redaction import redact

MOST_EVENTS, MOST_AGAIN = 20, 20
LONGEST = 9  # digits of a step's number


def page(request: HttpRequest, workflow: Any) -> dict[str, Any]:
    """The context of the template workflow/page.html, in a fixed number of queries, whatever it has come to."""
    now, asked = workflow.looked_at, _number(request, "step")
    shown = steps.read(workflow, _window(asked) or _number(request, "upto"))
    drawn = timeline(shown.lines, now)
    chosen = steps.in_full(workflow.pk, asked) if asked else None
    repeated = workflow.retries.order_by("pk").values_list("pk", flat=True)[:MOST_AGAIN]
    return {
        "workflow": workflow,
        "badge": display.badge(workflow.state),
        "sentence": sentence(workflow, shown.newest, now),
        "pauses": pauses_of(workflow, now),
        "steps": shown,
        "timeline": drawn,
        "journal": [_entry(line, chosen, now) for line in shown.lines],
        "earlier": _link(workflow, shown.first - 1) if shown.first > 1 else "",
        "later": _link(workflow, min(shown.last + steps.MOST, shown.total)) if shown.last < shown.total else "",
        "version": _version(shown),
        "step_of": step_of(workflow),
        "repeats": link(workflow.retry_of_id) if workflow.retry_of_id else "",
        "repeated": [link(pk) for pk in repeated],
        "events": _events(workflow, now),
        "arguments": display.pretty(workflow.args) if workflow.args else "",
        "result_value": display.pretty(workflow.result) if workflow.result is not None else "",
        "context_value": display.pretty(workflow.context) if workflow.context is not None else "",
        "times": {
            "created": display.moment(workflow.created_at, now),
            "began": display.moment(shown.begin.started_at, now) if shown.begin else display.NOTHING,
            "finished": display.moment(workflow.finished_at, now),
        },
        "took": display.duration((workflow.finished_at or now) - workflow.created_at),
    }


def sentence(workflow: Job, entry: Any, now: datetime) -> SafeString | str:
    """Where a workflow stands, or why it failed; `entry` is the last of its journal."""
    if workflow.state == State.FAILED:
        return format_html('<span class="error-line">{}</span>', why(workflow.error))
    waits = waits_for(workflow, entry, now)
    return format_html("It waits for {}.", waits) if waits else status(workflow, now)


def _entry(line: Line, chosen: Any, now: datetime) -> dict[str, Any]:
    """One step of the journal, its values cut; those of the chosen one whole."""
    row, whole = line.entry, chosen is not None and chosen.pk == line.entry.pk
    cut = max(row.args_length or 0, row.result_length or 0, row.error_length or 0) > steps.CUT
    return {
        "line": line,
        "open": whole,
        "began": display.moment(row.started_at, now),
        "took": "" if line.kept or row.finished_at is None else display.duration(row.finished_at - row.started_at),
        "args": _shown(row.args_head, row.args_length),
        "result": _shown(row.result_head, row.result_length),
        "error": redact(row.error_tail),
        "whole_url": step_url(row.workflow_id, row.position) if cut and not whole else "",
    } | (_in_full(chosen) if whole else {})


def _in_full(row: Any) -> dict[str, str]:
    return {
        "args": "" if row.args in ({}, None) else display.pretty(row.args),
        "result": "" if row.result is None else display.pretty(row.result),
        "error": redact(row.error),
    }


def _shown(text: str | None, length: int | None) -> str:
    """A stored value as indented text, without secrets; what was cut, as it is stored."""
    if text in (None, "", "{}", "null"):
        return ""
    if (length or 0) > steps.CUT:
        return f"{redact(str(text))}…"
    try:
        return display.pretty(jsontext.loads(text))
    except ValueError:
        return redact(str(text))


def _events(workflow: Job, now: datetime) -> list[dict[str, Any]]:
    """The events that were sent to it and that it has not taken, the first ones."""
    sent = Event.objects.filter(workflow=workflow.pk, delivered_at=None).order_by("pk")
    return [
        {
            "name": event.name,
            "url": reverse("admin:scheduling_event_change", args=[event.pk]),
            "sent": display.moment(event.sent_at, now),
        }
        for event in sent.only("pk", "name", "sent_at")[:MOST_EVENTS]
    ]


def _version(shown: Steps) -> Any:
    value = jsontext.lenient(shown.begin.result_head) if shown.begin else None
    return value.get("version", "") if isinstance(value, dict) else ""


def _window(step: int | None) -> int | None:
    """The last number on the page that holds a step."""
    return -(-step // steps.MOST) * steps.MOST if step else None


def _link(workflow: Job, upto: int) -> str:
    return f"{reverse('admin:scheduling_workflow_change', args=[workflow.pk])}?upto={upto}"


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and 0 < len(text) <= LONGEST else None
