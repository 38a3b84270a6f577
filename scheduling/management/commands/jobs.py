"""`manage.py jobs`: look at jobs, cancel them, run them again, follow them; pause and resume functions."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from scheduling import functions, scheduler
from scheduling.cluster.errors import last_line
from scheduling.exceptions import NotFound, SchedulingError
from scheduling.management.output import VerbCommand, fail, moment, natural, present, when
from scheduling.models import Attempt, Cron, Job, State
from scheduling.models.job import JobQuerySet
from scheduling.redaction import redact

LOOK = 0.25  # seconds between two looks of tail
LATE = timedelta(seconds=5)  # an end may be committed so long after its time
AT_ONCE = 1000  # jobs that one look of tail shows
BRIEF = [
    "id",
    "name",
    "state",
    "args",
    "run_at",
    "priority",
    "attempt",
    "key",
    "cron",
    "scheduled_for",
    "created_at",
    "started_at",
    "finished_at",
    "error",
]
FULL = [
    *BRIEF,
    "policy",
    "on_complete",
    "context",
    "retry_of_id",
    "parent_id",
    "expires_at",
    "crashes",
    "host_id",
    "process",
    "result",
    "progress",
    "log",
]
ATTEMPT = ["number", "started_at", "finished_at", "host_id", "process", "error", "log"]


class Command(VerbCommand):
    """Parses, calls the scheduler, prints."""

    help = "Look at jobs and steer them. Exit codes: 0 done, 1 failed, 2 wrong use."
    examples = """\
  manage.py jobs list --state failed --limit 50
  manage.py jobs show 12
  manage.py jobs cancel 12 13
  manage.py jobs retry 12 --json
  manage.py jobs explain 12
  manage.py jobs pause --function markets.sync_markets --reason "exchange is down" --until 2026-05-01T18:00Z
  manage.py jobs resume --function markets.sync_markets
  manage.py jobs tail --function markets.sync_markets"""

    def add_verbs(self) -> None:
        """list, show, explain, cancel, retry, tail, pause, resume."""
        number = natural(2**63 - 1)
        verb = self.verb("list", "List jobs, the newest first.", "jobs list --state pending --function app.work")
        verb.add_argument("--state", choices=State.values, help="only those in this state")
        _add_filters(verb)
        verb.add_argument("--limit", type=natural(10_000), default=20, metavar="N", help="at most (default: 20)")
        verb = self.verb("show", "Show a job with its attempts, result, error and log.", "jobs show 12 --json")
        verb.add_argument("id", type=number, metavar="ID")
        verb = self.verb("explain", "Say why a job is not running, or what became of it.", "jobs explain 12")
        verb.add_argument("id", type=number, metavar="ID")
        verb = self.verb("cancel", "Cancel jobs: pending ones never run, running ones are ended.", "jobs cancel 12 13")
        verb.add_argument("ids", type=number, nargs="+", metavar="ID")
        verb.add_argument("--no-interrupt", action="store_false", dest="interrupt", help="let running bodies run on")
        verb = self.verb("retry", "Run finished jobs again, each as a new job.", "jobs retry 12 13")
        verb.add_argument("ids", type=number, nargs="+", metavar="ID")
        verb = self.verb("tail", "Follow jobs as they start and end, until Ctrl-C.", "jobs tail --seconds 60 --json")
        _add_filters(verb)
        verb.add_argument("--seconds", type=float, metavar="S", help="stop after so many seconds")
        example = 'jobs pause --everything --reason "moving house"'
        verb = self.verb("pause", "Start no more jobs of a function, or of any.", example)
        _add_what(verb)
        verb.add_argument("--reason", default="", help="shown to whoever looks at it")
        verb.add_argument("--until", type=moment, metavar="TIME", help="when it ends by itself (default: resume)")
        verb = self.verb("resume", "Start the jobs of a function, or all, again.", "jobs resume --everything")
        _add_what(verb)

    def do_list(self, state: str | None, function: str | None, cron: str | None, limit: int) -> None:
        """The newest jobs that fit."""
        jobs = _filtered(function, cron).order_by("-pk").defer("log", "result", "progress")
        jobs = jobs.filter(state=state) if state else jobs
        found, now = jobs[:limit], present()
        if self.as_json:
            self.print_json([_as_dict(job, BRIEF) for job in found])
            return
        rows = [(job.pk, job.name, job.state, job.attempt, when(_last_moment(job), now), _brief(job)) for job in found]
        self.print_table(["ID", "FUNCTION", "STATE", "ATTEMPT", "WHEN", "ARGUMENTS"], rows)
        self.say(f"{len(rows)} jobs" + (f", cut at --limit {limit}" if len(rows) == limit else ""))

    def do_show(self, id: int) -> None:
        """All that is known of a job."""
        job = scheduler.get(id)
        attempts = _attempts(job)
        if self.as_json:
            tried = [{name: getattr(attempt, name) for name in ATTEMPT} for attempt in attempts]
            self.print_json(_as_dict(job, FULL) | {"attempts": tried})
            return
        now = present()
        for name in FULL:
            value = getattr(job, name)
            if value not in (None, "", {}) and name not in ("log", "error"):
                shown = when(value, now) if isinstance(value, datetime) else value
                self.print_lines(f"{name + ':':15} {shown if isinstance(shown, str) else json.dumps(shown)}")
        for attempt in attempts:
            self.print_lines("", f"attempt {attempt.number}: {_lasted(attempt, now)}")
            for title, text in (("error", attempt.error), ("log", attempt.log)):
                if text:
                    self.print_lines(f"  {title}:", *(f"    {line}" for line in text.splitlines()))
        if job.error and not attempts:
            self.print_lines("", f"error: {job.error}")

    def do_explain(self, id: int) -> None:
        """The weightiest reason first."""
        reasons = scheduler.explain(id)
        if self.as_json:
            self.print_json({"id": id, "reasons": reasons})
        else:
            self.print_lines(*reasons)

    def do_cancel(self, ids: list[int], interrupt: bool) -> None:
        """All that are known, or none."""
        _check(ids)
        done = [{"id": id, "canceled": scheduler.cancel(id, interrupt=interrupt)} for id in ids]
        if self.as_json:
            self.print_json(done)
        for one in done:
            self.say(f"job {one['id']}: {'canceled' if one['canceled'] else 'had ended already'}")
        if not all(one["canceled"] for one in done):
            fail("not all were canceled")

    def do_retry(self, ids: list[int]) -> None:
        """Each that has ended; for the others the command fails."""
        _check(ids)
        done: list[dict[str, Any]] = []
        for id in ids:
            try:
                done.append({"id": id, "job": scheduler.retry(id).pk})
                self.say(f"job {id}: runs again as job {done[-1]['job']}")
            except SchedulingError as error:
                done.append({"id": id, "job": None, "error": str(error)})
                self.say(f"job {id}: {error}")
        if self.as_json:
            self.print_json(done)
        if any(one["job"] is None for one in done):
            fail("not all were scheduled again")

    def do_tail(self, function: str | None, cron: str | None, seconds: float | None) -> None:
        """Starts and ends, as they come."""
        end = None if seconds is None else time.monotonic() + seconds
        with contextlib.suppress(KeyboardInterrupt):
            for event, job in _events(_filtered(function, cron), end):
                if self.as_json:
                    self.print_json({"event": event} | _as_dict(job, BRIEF))
                else:
                    at = job.finished_at or job.started_at or present()
                    self.print_lines(f"{at:%H:%M:%S} {event:11} #{job.pk}.{job.attempt} {job.name} {_brief(job)}")

    def do_pause(self, function: str | None, everything: bool, reason: str, until: datetime | None) -> None:
        """Until it is resumed, or until its time has come."""
        scheduler.pause(function, reason, until, everything=everything)
        self._tell(function, "paused")

    def do_resume(self, function: str | None, everything: bool) -> None:
        """At once, on all hosts."""
        if not scheduler.resume(function, everything=everything):
            fail(f"{function or 'everything'} is not paused")
        self._tell(function, "resumed")

    def _tell(self, function: str | None, done: str) -> None:
        if self.as_json:
            self.print_json({"function": function, "state": done})
        self.say(f"{function or 'everything'}: {done}")


def _add_what(verb: Any) -> None:
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--function", metavar="NAME", help="the jobs of this function")
    what.add_argument("--everything", action="store_true", help="all jobs, and the crons' ticks")


def _add_filters(verb: Any) -> None:
    verb.add_argument("--function", metavar="NAME", help="only those of this function")
    verb.add_argument("--cron", metavar="NAME", help="only those that this cron made")


def _filtered(function: str | None, cron: str | None) -> JobQuerySet:
    """The jobs of a function and a cron; NotFound where nobody knows of one, as its name may be mistyped."""
    jobs: JobQuerySet = Job.objects.all()
    if function is not None:
        jobs = jobs.filter(name=function)
        if function not in functions.names() and not jobs.exists():
            raise NotFound(f"no function is named {function!r}")
    if cron is not None:
        jobs = jobs.filter(cron=cron)
        if not Cron.objects.filter(key=cron).exists() and not Job.objects.filter(cron=cron).exists():
            raise NotFound(f"no cron is named {cron!r}")
    return jobs


def _check(ids: list[int]) -> None:
    """NotFound, before anything is done, where an id is unknown."""
    missing = set(ids) - set(Job.objects.filter(pk__in=ids).values_list("pk", flat=True))
    if missing:
        raise NotFound(f"no job has the id {', '.join(map(str, sorted(missing)))}")


def _events(jobs: JobQuerySet, end: float | None) -> Iterator[tuple[str, Job]]:
    """("started" or the final state, job) of those that run at first and whatever happens then."""
    since, seen = present(), dict[tuple[str, int, int], datetime]()
    jobs = jobs.defer("log", "result", "progress")
    fresh = since
    while True:
        now = present()
        ended = jobs.filter(finished_at__gte=max(fresh, since)).order_by("finished_at")[:AT_ONCE]
        running = jobs.running().order_by("pk")[:AT_ONCE]
        found = [(str(job.state), job) for job in ended] + [("started", job) for job in running]
        for event, job in found:
            if (event, job.pk, job.claim) not in seen:
                seen[event, job.pk, job.claim] = now
                yield event, job
        fresh = now - LATE
        still = {("started", job.pk, job.claim) for event, job in found if event == "started"}
        seen = {key: at for key, at in seen.items() if at >= fresh - LATE or key in still}
        if end is not None and time.monotonic() + LOOK > end:
            time.sleep(max(0.0, end - time.monotonic()))
            return
        time.sleep(LOOK)


def _attempts(job: Job) -> list[Attempt]:
    """A job's attempts, first to last."""
    return list(Attempt.objects.filter(job_id=job.pk).order_by("number"))


def _as_dict(job: Job, names: list[str]) -> dict[str, Any]:
    return {name: getattr(job, name) for name in names}


def _last_moment(job: Job) -> datetime:
    """When it ended, else began, else is due."""
    return job.finished_at or job.started_at or job.run_at


def _brief(job: Job) -> str:
    args = redact(json.dumps(job.args))  # before it is cut
    return f"{args if len(args) <= 60 else f'{args[:59]}…'} {last_line(job.error)[:100]}".rstrip()


def _lasted(attempt: Attempt, now: datetime) -> str:
    began = when(attempt.started_at, now)
    if attempt.started_at is None or attempt.finished_at is None:
        return f"began {began}, still runs" if began else "was not begun"
    return f"began {began}, took {(attempt.finished_at - attempt.started_at).total_seconds():.3f} s"
