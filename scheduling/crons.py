"""Crons: declared in an app's crons.py, or registered at run time; looked at, paused and run by hand."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.db import IntegrityError, transaction

from scheduling import backfills, calls, clock, scheduler, schedules
from scheduling import explain as explanations
from scheduling.backfills import backfill as backfill
from scheduling.cluster import cancels
from scheduling.conf import conf
from scheduling.declarations import (
    CHECKS,
    Arguments,
    Crons,
    Declaration,
    Every,
    Target,
    checked,
    declaration,
    spec_of,
)
from scheduling.exceptions import AlreadyExists, InvalidOption, InvalidSchedule, NotFound
from scheduling.models import Cron, Job, Overlap
from scheduling.models.cron import LONGEST_TIME
from scheduling.twins import twin

COLUMNS = {"schedule": "spec", "fn": "function", "args": "arguments"}
"""Where what register() takes stands in a row; the other options stand under their own names."""
MOST_REASON = 200  # characters


def register(name: str, schedule: str | Every, fn: Target, args: Arguments = None, **options: Any) -> Cron:
    """Make a cron at run time; an interval's first run is after one interval.

    Raises AlreadyExists, InvalidSchedule, InvalidArguments, InvalidOption or NotFound.
    """
    declared = declaration(name, spec_of(schedule), fn, args, options)
    try:
        with transaction.atomic(using=conf().database):
            return _create(name, declared, first_now=False)
    except IntegrityError as error:
        gone = Cron.objects.called(name, deleted=True).filter(deleted=True).exists()
        hint = "declared in code and deleted by hand: reset() brings it back" if gone else "there already"
        raise AlreadyExists(f"a cron named {name!r} is {hint}") from error


def get(name: str) -> Cron:
    """The cron of a name; NotFound where there is none."""
    return Cron.objects.named(name)


def list() -> builtins.list[Cron]:
    """All crons that have not been retired, by name."""
    return builtins.list(Cron.objects.filter(retired_at=None).order_by("key"))


def edit(name: str, **changes: Any) -> Cron:
    """Change a cron: its schedule, fn, args, and what else register() takes, but paused.

    Checked as a declaration is, with what stays as it is. Of a declared cron the change is kept by every sync,
    until reset(). A new schedule ticks next at its first instant from now on; a broken cron is taken to be mended.
    Raises NotFound, InvalidSchedule, InvalidArguments or InvalidOption; then nothing has changed.
    """
    with transaction.atomic(using=conf().database):
        cron = Cron.objects.locked().named(name)
        new, when = edited(cron, changes), (cron.spec, cron.timezone)
        for column in (COLUMNS.get(word, word) for word in changes):
            setattr(cron, column, getattr(new, column))
        if cron.retired_at is None and (cron.broken or when != (cron.spec, cron.timezone)):
            _restart(cron)
        cron.broken = ""
        cron.save()
    return cron


def edited(cron: Cron, changes: Mapping[str, Any]) -> Declaration:
    """What edit() would make of a cron, checked; nothing is written."""
    if "paused" in changes:
        raise InvalidOption("paused is nothing to edit: use pause() and resume()")
    said = {word: getattr(cron, column) for word, column in COLUMNS.items()}
    wanted = said | {option: getattr(cron, option) for option in CHECKS} | dict(changes)
    schedule, fn, args = (wanted.pop(word) for word in COLUMNS)
    return declaration(cron.key, spec_of(schedule), fn, args, wanted)


def delete(name: str) -> None:
    """Remove a cron: its pending runs are canceled, a running one ends. NotFound where there is none.

    One that is declared in code stays away from every sync and start of a cluster, until reset().
    """
    with transaction.atomic(using=conf().database):
        cron = Cron.objects.locked().named(name)
        pending = Job.objects.pending().filter(cron=name).order_by("pk").select_for_update()  # none begins meanwhile
        cancels.cancel(builtins.list(pending.values_list("pk", flat=True)), interrupt=True)
        if cron.declared is None:
            cron.delete()
        else:
            cron.deleted, cron.retired_at, cron.next_tick_at = True, clock.now(), None
            cron.save()


def pause(name: str, reason: str = "", until: datetime | None = None) -> None:
    """Stop a cron from ticking; ticks that pass meanwhile leave no record.

    With `until` (an aware time in the future, at most 10 years away) the pause ends by itself: the cron ticks
    from its first instant after that. Raises InvalidOption or NotFound.
    """
    ends, now = calls.aware(until), clock.now()
    if ends is not None and not now < ends <= now + LONGEST_TIME:
        raise InvalidOption(f"a pause ends in the future, within 10 years, not at {ends} (it is {now})")
    reason = checked("description", reason)[:MOST_REASON]
    if not Cron.objects.called(name).update(
        paused=True, paused_reason=reason, paused_at=clock.Now(), paused_until=ends
    ):
        raise NotFound(f"no cron is named {name!r}")


def resume(name: str, run_missed: bool = False) -> None:
    """Let a paused cron tick again, from its next future instant (an interval: on its old steps).

    With `run_missed` the ticks that passed during the pause count as missed: its catch_up rule says what becomes
    of them. A broken one is tried again. One that is neither goes on as it did. Raises InvalidSchedule or NotFound.
    """
    with transaction.atomic(using=conf().database):
        cron = Cron.objects.locked().named(name)
        if not (cron.paused or cron.broken):
            return
        if cron.retired_at is None and not (run_missed and cron.next_tick_at):
            _restart(cron)
        cron.broken = ""
        _end_pause(cron)
        cron.save()


def run_now(name: str, args: Arguments = None) -> Job | None:
    """Run a cron's function now, paused or not; None where its overlap rule does not let it.

    `args` take the place of the cron's own, and are checked as those are. Runs of a backfill do not count for
    the overlap rule. Raises InvalidArguments or NotFound.
    """
    with transaction.atomic(using=conf().database):
        cron = Cron.objects.locked().named(name)
        unfinished = Job.objects.unfinished().filter(cron=name, backfill=False).count()
        if not Overlap(cron.overlap).has_room(unfinished):
            return None
        return scheduler.get(backfills.insert_runs(cron, [None], args)[0])


def preview(
    schedule: str | Every, timezone: str = "UTC", n: int = 10, after: datetime | None = None
) -> builtins.list[datetime]:
    """The next `n` instants of a schedule after a moment (now), in its time zone."""
    if n < 0:
        raise InvalidOption(f"n is 0 or more, not {n!r}")
    parsed = schedules.parse(spec_of(schedule), timezone)
    start = calls.aware(after) or clock.now()
    place = schedules.zone(timezone)
    return [tick.astimezone(place) for tick in schedules.upcoming(parsed, after=start, anchor=start, n=n)]


def declarations() -> dict[str, Declaration]:
    """What the crons.py of all installed apps declare; AlreadyExists where two have one name."""
    found: dict[str, Declaration] = {}
    for app, crons in _modules():
        for name, declared in crons.declared.items():
            if name in found:
                raise AlreadyExists(f"two crons are named {name!r}")
            found[name] = replace(declared, app=app)
    return found


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What a sync did, by names."""

    added: builtins.list[str]
    changed: builtins.list[str]
    retired: builtins.list[str]


def sync(*, only_add: bool = False) -> Synced:
    """Write what crons.py declare: new crons are added, changed ones updated, vanished ones of installed apps retired.

    What an operator changed is kept: a column follows the code only while it holds what the code last said.
    With `only_add` (a starting cluster, which may be of an older release) nothing that is there is touched.
    """
    declared = declarations()
    with transaction.atomic(using=conf().database):
        rows = {cron.key: cron for cron in Cron.objects.locked().order_by("pk")}
        added = [name for name in declared if name not in rows]
        for name in added:
            _create(name, declared[name], first_now=True, is_declared=True)
        if only_add:
            return Synced(added=added, changed=[], retired=[])
        there = [name for name in declared if name in rows]
        changed = [name for name in there if _follow(rows[name], declared[name])]
        vanished = [cron for name, cron in rows.items() if name not in declared and cron.declared]
        retired = [cron.key for cron in vanished if not cron.retired_at and cron.app in apps.app_configs]
        Cron.objects.filter(key__in=retired).update(retired_at=clock.Now(), next_tick_at=None)
    return Synced(added=added, changed=changed, retired=retired)


def reset(name: str) -> None:
    """Undo what operators changed in a declared cron, its deletion too: it is again as the code says."""
    with transaction.atomic(using=conf().database):
        cron = Cron.objects.locked().named(name, deleted=True)
        if not isinstance(cron.declared, dict):
            raise InvalidOption(f"{name} was made at run time: there is no code to go back to")
        if cron.retired_at and name not in declarations():
            raise InvalidOption(f"{name} is retired: no installed app declares it any more")
        _apply(cron, cron.declared)
        if cron.broken:
            raise InvalidSchedule(cron.broken)


def describe(cron: Cron) -> str:
    """When a cron runs, in words; the stored text where it cannot be read."""
    try:
        return schedules.parse(cron.spec, cron.timezone).describe()
    except InvalidSchedule:
        return cron.spec


def explain(name: str) -> builtins.list[str]:
    """Why a cron does not tick, or when it will, in plain sentences. NotFound where there is none."""
    return explanations.cron(get(name))


def _modules() -> Iterator[tuple[str, Crons]]:
    for app in apps.get_app_configs():
        if find_spec(f"{app.name}.crons") is not None and app.name != "scheduling":
            crons = getattr(import_module(f"{app.name}.crons"), "crons", None)
            if isinstance(crons, Crons):
                yield app.label, crons


def _create(name: str, declaration: Declaration, *, first_now: bool, is_declared: bool = False) -> Cron:
    now = clock.now()
    cron = Cron(key=name, anchor=now, declared=asdict(declaration) if is_declared else None, **asdict(declaration))
    at_once = first_now and isinstance(schedules.parse(cron.spec, cron.timezone), schedules.Interval)
    cron.next_tick_at = now if at_once else _next(cron, now)
    cron.save()
    return cron


def _follow(cron: Cron, new: Declaration) -> bool:
    """Take over what the code has changed; gives whether anything was."""
    wanted, was_declared = asdict(new), isinstance(cron.declared, dict)
    said = cron.declared if was_declared else wanted  # made at run time: what it is counts as an operator's
    before = {name: said.get(name, getattr(cron, name)) for name in wanted}
    changes = {name: value for name, value in wanted.items() if value != before[name]}
    if was_declared and not changes and cron.retired_at is None:
        return False
    untouched = {name: value for name, value in changes.items() if getattr(cron, name) == before[name]}
    cron.declared = wanted
    if cron.deleted:
        cron.save()
        return False
    _apply(cron, untouched)
    return True


def _apply(cron: Cron, changes: dict[str, Any]) -> None:
    """Change a cron as the code says; what was retired ticks again, and what was broken is tried again."""
    when, was_paused = (cron.spec, cron.timezone), cron.paused
    for name in changes.keys() & Declaration.__dataclass_fields__.keys():
        setattr(cron, name, changes[name])
    resumed = was_paused and not cron.paused
    moved = resumed or when != (cron.spec, cron.timezone) or cron.retired_at or cron.broken
    if resumed:
        _end_pause(cron)
    cron.retired_at, cron.deleted, cron.broken = None, False, ""
    try:
        if moved or cron.next_tick_at is None:
            _restart(cron)
    except InvalidSchedule as error:  # what an operator wrote by hand, and the code has left alone
        cron.broken = str(error)
    cron.save()


def _restart(cron: Cron) -> None:
    """Let it tick from its next future instant on; a pause whose time has come is over."""
    now = clock.now()
    cron.next_tick_at = _next(cron, now)
    if cron.paused_until is not None and cron.paused_until <= now:
        _end_pause(cron)


def _end_pause(cron: Cron) -> None:
    cron.paused, cron.paused_reason, cron.paused_at, cron.paused_until = False, "", None, None


def _next(cron: Cron, after: datetime) -> datetime:
    return schedules.following(schedules.parse(cron.spec, cron.timezone), after, cron.anchor)


aregister = twin(register)
aget = twin(get)
alist = twin(list)
adelete = twin(delete)
apause = twin(pause)
aresume = twin(resume)
arun_now = twin(run_now)
apreview = twin(preview)
areset = twin(reset)
aedit = twin(edit)
abackfill = twin(backfill)
aexplain = twin(explain)
