"""`manage.py crons`: look at crons, run, pause and resume them, write what the code declares, look ahead and back."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import Any

from scheduling import crons, schedules
from scheduling.backfills import MOST
from scheduling.exceptions import InvalidSchedule
from scheduling.management.following import follow, in_words
from scheduling.management.output import (
    WRONG_USE,
    VerbCommand,
    fail,
    json_object,
    moment,
    natural,
    present,
    relative,
    when,
)
from scheduling.models import Cron, Job, State

SHOWN = [
    "function",
    "arguments",
    "spec",
    "timezone",
    "overlap",
    "catch_up",
    "jitter",
    "retry",
    "timeout",
    "alert_after",
    "fresh_within",
    "priority",
    "description",
    "next_tick_at",
    "last_tick_at",
    "paused_at",
    "paused_until",
]


class Command(VerbCommand):
    """Parses, calls scheduling.crons, prints."""

    help = "Look at crons and steer them. Exit codes: 0 done, 1 failed, 2 wrong use."
    examples = """\
  manage.py crons list
  manage.py crons run sync-markets --args '{"exchange": "opinion"}'
  manage.py crons show sync-markets
  manage.py crons pause sync-markets --reason "exchange is down" --until 2026-05-01T18:00Z
  manage.py crons resume sync-markets
  manage.py crons sync
  manage.py crons preview --schedule "30 2 * * *" --timezone Europe/Berlin -n 3
  manage.py crons backfill sync-markets --from 2026-05-01T00:00Z --to 2026-05-02T00:00Z --dry-run"""

    def add_verbs(self) -> None:
        """list, show, run, pause, resume, sync, preview, backfill."""
        self.verb("list", "List all crons that have not been retired.", "crons list --json")
        verb = self.verb("show", "Show all that is said of a cron.", "crons show nightly --json")
        verb.add_argument("name", metavar="NAME")
        verb = self.verb("run", "Run a cron now, paused or not, unless its overlap rule forbids.", "crons run nightly")
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--args", type=json_object, dest="arguments", metavar="JSON", help="in place of its own")
        verb = self.verb("pause", "Stop a cron from ticking.", 'crons pause nightly --reason "moving house"')
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--reason", default="", help="shown to whoever looks at it")
        verb.add_argument("--until", type=moment, metavar="TIME", help="when it goes on by itself")
        verb = self.verb("resume", "Let a cron tick again.", "crons resume nightly")
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--run-missed", action="store_true", help="make up for what passed, by its catch_up rule")
        verb = self.verb("sync", "Write what the apps' crons.py declare.", "crons sync")
        verb.add_argument("--only-add", action="store_true", help="touch nothing that is there")
        verb = self.verb("preview", "The next times of a cron, or of a schedule.", "crons preview nightly -n 3")
        verb.add_argument("name", nargs="?", metavar="NAME")
        verb.add_argument("--schedule", metavar="EXPR", help="five cron fields, or seconds")
        verb.add_argument("--timezone", metavar="ZONE", help="of --schedule (default: UTC)")
        verb.add_argument("-n", type=natural(1000), default=10, metavar="N", help="how many (default: 10)")
        self._add_backfill()

    def _add_backfill(self) -> None:
        verb = self.verb(
            "backfill",
            "Run a cron for its ticks of the past that have no run yet.",
            "crons backfill nightly --from 2026-05-01T00:00Z --to 2026-06-01T00:00Z --concurrency 4 --wait",
        )
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--from", type=moment, required=True, dest="start", metavar="TIME", help="the first tick")
        verb.add_argument("--to", type=moment, dest="end", metavar="TIME", help="up to this time (default: now)")
        verb.add_argument(
            "--concurrency", type=natural(MOST), default=1, metavar="N", help="at most at once (default: 1)"
        )
        verb.add_argument("--dry-run", action="store_true", help="only say which ticks")
        verb.add_argument("--wait", action="store_true", help="show how far they are until all have ended")

    def do_list(self) -> None:
        """All, by name."""
        found, now = crons.list(), present()
        if self.as_json:
            self.print_json([_as_dict(cron) for cron in found])
            return
        rows = [
            (cron.key, _state(cron), crons.describe(cron), cron.function, when(_next(cron), now), _why(cron))
            for cron in found
        ]
        self.print_table(["NAME", "STATE", "SCHEDULE", "FUNCTION", "NEXT", "NOTE"], rows)
        self.say(f"{len(rows)} crons")

    def do_show(self, name: str) -> None:
        """One cron, a line for each thing that is said of it."""
        cron, now = crons.get(name), present()
        shown = _as_dict(cron)
        if self.as_json:
            self.print_json(shown)
            return
        for word, value in shown.items():
            if value not in (None, "", {}):
                text = when(value, now) if isinstance(value, datetime) else value
                self.print_lines(f"{word + ':':13} {text if isinstance(text, str) else json.dumps(text)}")

    def do_run(self, name: str, arguments: dict[str, Any] | None) -> None:
        """One job, or a failure where an unfinished run stands in its way."""
        job = crons.run_now(name, arguments)
        if job is None:
            fail(f"{name} does not run: a run of it has not ended, and its overlap rule is {crons.get(name).overlap}")
        if self.as_json:
            self.print_json({"cron": name, "job": job.pk})
        self.say(f"{name}: runs as job {job.pk}")

    def do_pause(self, name: str, reason: str, until: datetime | None) -> None:
        """Until it is resumed, or the time has come."""
        crons.pause(name, reason, until)
        self._tell(name, "paused" + (f" until {when(until, present())}" if until else ""))

    def do_resume(self, name: str, run_missed: bool) -> None:
        """From its next time on."""
        crons.resume(name, run_missed=run_missed)
        self._tell(name, "resumed")

    def do_sync(self, only_add: bool) -> None:
        """As migrate does."""
        done = asdict(crons.sync(only_add=only_add))
        if self.as_json:
            self.print_json(done)
        for verb, names in done.items():
            self.say(f"{verb}: {', '.join(names) or 'none'}")

    def do_preview(self, name: str | None, schedule: str | None, timezone: str | None, n: int) -> None:
        """In the cron's time zone, or the one given."""
        if (name is None) == (schedule is None) or (name and timezone):
            fail("preview takes the NAME of a cron, or --schedule EXPR with --timezone ZONE", WRONG_USE)
        times = _times_of(name, n) if name else crons.preview(schedule or "", timezone or "UTC", n)
        if self.as_json:
            self.print_json(times)
            return
        now = present()
        self.print_lines(*(f"{time.isoformat(sep=' ', timespec='seconds')}  {relative(time, now)}" for time in times))

    def do_backfill(
        self, name: str, start: datetime, end: datetime | None, concurrency: int, dry_run: bool, wait: bool
    ) -> None:
        """The ticks, or a job for each."""
        span = (name, start, end or present())
        if dry_run:
            instants = crons.backfill(*span, dry_run=True)
            if self.as_json:
                self.print_json({"cron": name, "instants": instants, "jobs": []})
            else:
                self.print_lines(*(f"{instant:%Y-%m-%d %H:%M:%S}Z" for instant in instants))
            self.say(f"{name}: {len(instants)} runs would be made")
            return
        jobs = crons.backfill(*span, concurrency)
        self.say(f"{name}: {len(jobs)} runs made" + (f", jobs {jobs[0].pk} to {jobs[-1].pk}" if jobs else ""))
        states = self._follow(jobs) if wait else None
        if self.as_json:
            made = {"cron": name, "instants": [job.scheduled_for for job in jobs], "jobs": [job.pk for job in jobs]}
            self.print_json(made | ({} if states is None else {"states": states}))
        if states and states.total() != states[State.SUCCESS]:
            fail(f"not all have succeeded: {in_words(states)}")

    def _follow(self, jobs: list[Job]) -> Counter[str]:
        if not jobs:
            return Counter()
        ours = Job.objects.filter(cron=jobs[0].cron, backfill=True, pk__range=(jobs[0].pk, jobs[-1].pk))
        states = follow(ours, self.stderr, quiet=self.as_json)
        self.say(in_words(states))
        return states

    def _tell(self, name: str, done: str) -> None:
        cron, now = crons.get(name), present()
        if self.as_json:
            self.print_json(_as_dict(cron))
        upcoming = _next(cron)
        self.say(f"{name}: {done}" + (f", next at {when(upcoming, now)}" if upcoming else ""))


def _times_of(name: str, n: int) -> list[datetime]:
    """The next times of a cron, from its own anchor; a row that cannot be read is a failure, no wrong use."""
    cron = crons.get(name)
    try:
        schedule, place = schedules.parse(cron.spec, cron.timezone), schedules.zone(cron.timezone)
    except InvalidSchedule as error:
        fail(f"{name} is broken: {error}")
    times = schedules.upcoming(schedule, after=present(), anchor=cron.anchor, n=n)
    return [time.astimezone(place) for time in times]


def _state(cron: Cron) -> str:
    if cron.retired_at is not None:
        return "retired"
    return "paused" if cron.paused else "broken" if cron.broken else "active"


def _next(cron: Cron) -> datetime | None:
    return cron.next_tick_at if _state(cron) == "active" else None


def _why(cron: Cron) -> str:
    return cron.paused_reason if cron.paused else cron.broken


def _as_dict(cron: Cron) -> dict[str, Any]:
    return {
        "name": cron.key,
        "state": _state(cron),
        "note": _why(cron),
        "words": crons.describe(cron),
        "declared": cron.declared is not None,
        **{name: getattr(cron, name) for name in SHOWN},
    }
