"""Crons: declared in an app's crons.py, or registered at run time; looked at, paused and run by hand."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.db import IntegrityError, transaction

from scheduling import calls, clock, functions, jsontext, lanes, schedules
from scheduling import explain as explanations
from scheduling.cluster import transitions
from scheduling.conf import conf
from scheduling.declarations import Arguments, Crons, Declaration, Every, Target, declaration, spec_of
from scheduling.exceptions import AlreadyExists, InvalidOption, InvalidSchedule, NotFound
from scheduling.models import Cron, Job, Overlap
from scheduling.models.insert import NewJob, insert


def register(name: str, schedule: str | Every, fn: Target, args: Arguments = None, **options: Any) -> Cron:
    """Make a cron at run time; an interval's first run is after one interval.

    Raises AlreadyExists, InvalidSchedule, InvalidArguments, InvalidOption or NotFound.
    """
    declared = declaration(name, spec_of(schedule), fn, args, options)
    try:
        with transaction.atomic(using=conf().database):
            return _create(name, declared, first_now=False)
    except IntegrityError as error:
        raise AlreadyExists(f"a cron named {name!r} is there already") from error


def get(name: str) -> Cron:
    """The cron of a name; NotFound where there is none."""
    try:
        cron: Cron = Cron.objects.get(key=name)
    except Cron.DoesNotExist as error:
        raise NotFound(f"no cron is named {name!r}") from error
    return cron


def list() -> builtins.list[Cron]:
    """All crons that have not been retired, by name."""
    return builtins.list(Cron.objects.filter(retired_at=None).order_by("key"))


def delete(name: str) -> None:
    """Remove a cron: its pending runs are canceled, a running one ends. NotFound where there is none."""
    with transaction.atomic(using=conf().database):
        cron = _locked(name)
        pending = Job.objects.pending().filter(cron=name).select_for_update()  # so that none begins meanwhile
        transitions.cancel(builtins.list(pending.values_list("pk", flat=True)), interrupt=True)
        cron.delete()


def pause(name: str, reason: str = "") -> None:
    """Stop a cron from ticking; ticks that pass meanwhile leave no record."""
    changed = Cron.objects.filter(key=name).update(paused=True, paused_reason=reason[:200], paused_at=clock.Now())
    if not changed:
        raise NotFound(f"no cron is named {name!r}")


def resume(name: str, run_missed: bool = False) -> None:
    """Let a cron tick again, from its next future instant; with `run_missed` those that passed are made up for."""
    with transaction.atomic(using=conf().database):
        cron = _locked(name)
        cron.paused, cron.paused_reason, cron.paused_at, cron.broken = False, "", None, ""
        if not run_missed:
            cron.next_tick_at = _next(cron, clock.now())
        cron.save()


def run_now(name: str, args: Arguments = None) -> Job | None:
    """Run a cron's function now, paused or not; None where its overlap rule does not let it.

    `args` take the place of the cron's own.
    """
    from scheduling import scheduler

    with transaction.atomic(using=conf().database):
        cron = _locked(name)
        unfinished = Job.objects.unfinished().filter(cron=name).count()
        if not Overlap(cron.overlap).has_room(unfinished):
            return None
        function = functions.schedulable(cron.function)
        text = function.store(cron.arguments if args is None else args)
        place = asdict(lanes.place(function, text))
        policy = None if cron.policy is None else jsontext.dumps(cron.policy)
        new = NewJob(name=cron.function, args=text, priority=cron.priority, policy=policy, cron=name, **place)
        return scheduler.get(insert([new])[0].id)


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
        rows = {cron.key: cron for cron in Cron.objects.select_for_update(of=("self",)).order_by("pk")}
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
    """Undo what operators changed in a declared cron: it is again as the code says."""
    with transaction.atomic(using=conf().database):
        cron = _locked(name)
        if not cron.declared:
            raise InvalidOption(f"{name} was made at run time: there is no code to go back to")
        _apply(cron, Declaration(**cron.declared))


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
    before = cron.declared or asdict(new)
    changes = {name: value for name, value in asdict(new).items() if before.get(name) != value}
    untouched = {name: value for name, value in changes.items() if getattr(cron, name) == before.get(name)}
    if not changes and cron.declared and cron.retired_at is None:
        return False
    current = {name: getattr(cron, name) for name in asdict(new)}
    cron.declared = asdict(new)
    _apply(cron, Declaration(**(current | untouched)))
    return True


def _apply(cron: Cron, wanted: Declaration) -> None:
    when, was_paused = (cron.spec, cron.timezone), cron.paused
    for name, value in asdict(wanted).items():
        setattr(cron, name, value)
    resumed = was_paused and not cron.paused
    moved = resumed or when != (cron.spec, cron.timezone) or cron.retired_at or cron.broken
    if moved or cron.next_tick_at is None:
        cron.next_tick_at = _next(cron, clock.now())
    if resumed:
        cron.paused_reason, cron.paused_at = "", None
    cron.retired_at, cron.broken = None, ""
    cron.save()


def _next(cron: Cron, after: datetime) -> datetime:
    return schedules.following(schedules.parse(cron.spec, cron.timezone), after, cron.anchor)


def _locked(name: str) -> Cron:
    cron = Cron.objects.select_for_update(of=("self",)).filter(key=name).first()
    if cron is None:
        raise NotFound(f"no cron is named {name!r}")
    return cron
