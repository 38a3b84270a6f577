"""What is shown of pauses wherever something is paused: badge, sentence, and where to pause and to resume."""

from __future__ import annotations

from datetime import datetime

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from scheduling import pauses
from scheduling.admin import display
from scheduling.models import Pause, Paused


def in_force(kind: Paused) -> dict[str, Pause]:
    """The pauses of a kind, by name."""
    return {pause.name: pause for pause in pauses.current().filter(kind=kind)}


def status(pause: Pause | None, now: datetime) -> SafeString:
    """A badge with reason and times; nothing where it is not paused."""
    if pause is None:
        return format_html("{}", "")
    since = format_html("since {}", display.ago(pause.paused_at, now))
    until = format_html("until {}", display.clock_time(pause.until)) if pause.until else ""
    return display.stacked(display.badge("paused"), pause.reason, since, until)


def sentence(pause: Pause, now: datetime) -> SafeString:
    """What is paused since when, until when, and why."""
    since = format_html(
        " is paused since {} ({})", display.clock_time(pause.paused_at), display.ago(pause.paused_at, now)
    )
    until = format_html(", until {}", display.clock_time(pause.until)) if pause.until else ""
    return format_html("{}{}{}{}", subject(pause), since, until, f": {pause.reason}" if pause.reason else "")


def subject(pause: Pause) -> SafeString:
    """What is paused, with a link to its page."""
    if pause.kind == Paused.EVERYTHING:
        return format_html("{}", "Everything")
    return format_html('The {} <a href="{}">{}</a>', pause.kind, page_of(pause), pause.name)


def page_of(pause: Pause) -> str:
    """The page of what is paused; of everything the dashboard."""
    if pause.kind == Paused.FUNCTION:
        return reverse("admin:scheduling_jobfunction_change", args=[quote(pause.name)])
    if pause.kind == Paused.POOL:
        return reverse("admin:scheduling_pool_named", args=[pause.name])
    return reverse("admin:index")


def form_url(kind: Paused, name: str = "") -> str:
    """Where to pause something."""
    return f"{reverse('admin:scheduling_pause_add')}?{urlencode({'what': choice(kind, name)})}"


def resume_url(pause: Pause, back: str = "") -> str:
    """Where a resume is posted to; it leads to the thing's page, or to the "dashboard" or the "list"."""
    url = reverse("admin:scheduling_pause_verb", args=[pause.pk, "resume"])
    return f"{url}?back={back}" if back else url


def resume_button(pause: Pause, back: str = "") -> SafeString:
    """A button in a row of a list: it posts the list's form, with its CSRF token."""
    url = resume_url(pause, back)
    return format_html('<button type="submit" class="small-button" formaction="{}">Resume</button>', url)


def may_pause(request: HttpRequest) -> bool:
    """Whether this user may pause and resume."""
    return request.user.has_perm("scheduling.pause_work")


def choice(kind: Paused, name: str = "") -> str:
    """What the form calls something that can be paused."""
    return f"{kind.value}:{name}"
