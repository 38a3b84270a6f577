"""`manage.py crons`: look at crons, run, pause and resume them, write what the code declares, look ahead."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from scheduling import crons, schedules
from scheduling.exceptions import InvalidSchedule
from scheduling.management.output import WRONG_USE, VerbCommand, fail, json_object, natural, present, relative, when
from scheduling.models import Cron

SHOWN = [
    "function",
    "arguments",
    "spec",
    "timezone",
    "overlap",
    "catch_up",
    "priority",
    "description",
    "next_tick_at",
    "last_tick_at",
]


class Command(VerbCommand):
    """Parses, calls scheduling.crons, prints."""

    help = "Look at crons and steer them. Exit codes: 0 done, 1 failed, 2 wrong use."
    examples = """\
  manage.py crons list
  manage.py crons run sync-markets --args '{"exchange": "opinion"}'
  manage.py crons pause sync-markets --reason "exchange is down"
  manage.py crons resume sync-markets
  manage.py crons sync
  manage.py crons preview --schedule "30 2 * * *" --timezone Europe/Berlin -n 3"""

    def add_verbs(self) -> None:
        """list, run, pause, resume, sync, preview."""
        self.verb("list", "List all crons that have not been retired.", "crons list --json")
        verb = self.verb("run", "Run a cron now, paused or not, unless its overlap rule forbids.", "crons run nightly")
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--args", type=json_object, dest="arguments", metavar="JSON", help="in place of its own")
        verb = self.verb("pause", "Stop a cron from ticking.", 'crons pause nightly --reason "moving house"')
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--reason", default="", help="shown to whoever looks at it")
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

    def do_run(self, name: str, arguments: dict[str, Any] | None) -> None:
        """One job, or a failure where an unfinished run stands in its way."""
        job = crons.run_now(name, arguments)
        if job is None:
            fail(f"{name} does not run: a run of it has not ended, and its overlap rule is {crons.get(name).overlap}")
        if self.as_json:
            self.print_json({"cron": name, "job": job.pk})
        self.say(f"{name}: runs as job {job.pk}")

    def do_pause(self, name: str, reason: str) -> None:
        """Until it is resumed."""
        crons.pause(name, reason)
        self._tell(name, "paused")

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
