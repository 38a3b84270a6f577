"""Jobs with a key: at most one record of a function holds a key at a time, and a key mode says what a new call makes
of it.

    keep        the call gives back whatever job holds the key, finished too
    replace     a pending job that has not been attempted takes the new arguments and time; else a new one is made
    debounce    as replace, but never later than max_wait after the first call
    throttle    one job per window: a call within it gives back the one that is there
    keep_last   one running, one waiting with the newest arguments; the second starts when the first has ended

The holder's row is locked while it is decided, and (name, key) is unique among holders, so that of two calls at
once one waits for the other. Where the holder itself waited for another, and was canceled, that one is locked
before it: so does the end of a job, which then wakes those that wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from scheduling import clock
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption
from scheduling.models import Job, State
from scheduling.models.insert import Inserted, NewJob, insert
from scheduling.models.reserved import give_back

MODES = ("keep", "replace", "debounce", "throttle", "keep_last")
LONGEST_KEY = 200
TRIES = 20  # of two calls at once one inserts and the other tries again; more than twice in a row is rare

REPLACE = """
UPDATE scheduling_job
SET args = %s, run_at = {run_at}, expires_at = {expires_at}, priority = %s, policy = %s, on_complete = %s, context = %s,
    lane = %s, pool = %s, rate_limit = %s, tokens = %s, reserved = false
WHERE id = %s RETURNING run_at, created_at
"""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key with its mode; `window` belongs to throttle, `max_wait` to debounce."""

    name: str
    mode: str = "keep"
    window: timedelta | None = None
    max_wait: timedelta | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= LONGEST_KEY or not _is_storable(self.name):
            raise InvalidOption(
                f"a key is text of 1 to {LONGEST_KEY} characters, without NUL and lone surrogates, not {self.name!r}"
            )
        if self.mode not in MODES:
            raise InvalidOption(f"key_mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if (self.mode == "throttle") != (self.window is not None):
            raise InvalidOption('window goes with key_mode="throttle", which needs it')
        if self.max_wait is not None and self.mode != "debounce":
            raise InvalidOption('max_wait goes with key_mode="debounce"')


def _is_storable(text: str) -> bool:
    return "\0" not in text and text == text.encode(errors="ignore").decode()


def schedule(new: NewJob, key: Key, parent_id: int | None = None) -> tuple[Inserted, Job | None]:
    """Insert a job, or find or change the one that holds its key; gives that one, None where the job is new.

    What a canceled job schedules is stored as canceled, and leaves the key and its holder alone.
    """
    if parent_id is not None and Job.objects.filter(pk=parent_id, state=State.CANCELED).exists():
        return insert([replace(new, key=key.name)], parent_id=parent_id)[0], None
    decide, new, runs_before = _MODES[key.mode], _bounded(new, key), None
    for _ in range(TRIES):
        with transaction.atomic(using=conf().database):
            running = _locked(pk=runs_before) if runs_before else None
            holder = _locked(name=new.name, key=key.name, holds_key=True)
            if holder is not None and (found := decide(new, key, holder)):
                return found, holder
            if holder is not None and holder.is_final and holder.waits_for_id not in (None, runs_before):
                runs_before = holder.waits_for_id
                transaction.set_rollback(True, using=conf().database)  # of this block: the lock is let go
                continue
            made = _insert(new, key, holder, running, parent_id)
            if made:
                return made, None
    raise RuntimeError(f"{new.name}: the key {key.name!r} was taken by another call {TRIES} times in a row")


def _bounded(new: NewJob, key: Key) -> NewJob:
    """A first call is not put off for longer than max_wait either."""
    if key.max_wait is None:
        return new
    if new.run_at is None:
        return replace(new, delay=min(new.delay, key.max_wait.total_seconds()))
    return replace(new, run_at=min(new.run_at, clock.now() + key.max_wait))


def _locked(**wanted: Any) -> Job | None:
    return Job.objects.select_for_update().filter(**wanted).first()


def _insert(new: NewJob, key: Key, holder: Job | None, running: Job | None, parent_id: int | None) -> Inserted | None:
    """Take the key from its holder and insert; None where another call was quicker."""
    if holder is not None:
        Job.objects.filter(pk=holder.pk).update(holds_key=False)
    if key.mode == "keep_last":
        unfinished = [job.pk for job in (holder, running) if job is not None and not job.is_final]
        new = replace(new, waits_for_id=unfinished[0] if unfinished else None)
    made = insert([replace(new, key=key.name)], parent_id=parent_id, skip_duplicates=True)
    return made[0] if made else None


def _keep(new: NewJob, key: Key, holder: Job) -> Inserted | None:
    return _same(holder)


def _replace(new: NewJob, key: Key, holder: Job) -> Inserted | None:
    if holder.state != State.PENDING or holder.attempt:
        return None
    return _change(new, holder, latest=None)


def _debounce(new: NewJob, key: Key, holder: Job) -> Inserted | None:
    if holder.state != State.PENDING or holder.attempt:
        return None
    return _change(new, holder, latest=None if key.max_wait is None else holder.created_at + key.max_wait)


def _throttle(new: NewJob, key: Key, holder: Job) -> Inserted | None:
    assert key.window is not None
    return _same(holder) if clock.now() < holder.created_at + key.window else None


def _keep_last(new: NewJob, key: Key, holder: Job) -> Inserted | None:
    return _replace(new, key, holder)


_MODES: dict[str, Callable[[NewJob, Key, Job], Inserted | None]] = {
    "keep": _keep,
    "replace": _replace,
    "debounce": _debounce,
    "throttle": _throttle,
    "keep_last": _keep_last,
}


def _same(holder: Job) -> Inserted:
    return Inserted(holder.pk, holder.run_at, holder.created_at, holder.state)


def _change(new: NewJob, holder: Job, latest: datetime | None) -> Inserted:
    """Give a pending job the arguments, time and options of a new call."""
    run_at, params = _moment(new.run_at, new.delay)
    expires_at, expiry = _moment(new.expires_at, new.expires_in)
    if latest is not None:
        least = "least" if clock.database().vendor == "postgresql" else "min"
        run_at, params = f"{least}({run_at}, %s)", [*params, clock.to_db(latest)]
    options = [new.priority, new.policy, new.on_complete, new.context]
    place = [new.lane, new.pool, new.rate_limit, new.tokens]
    if holder.reserved and holder.rate_limit is not None:
        give_back([(holder.rate_limit, holder.tokens or 0)])
    with clock.database().cursor() as cursor:
        statement = REPLACE.format(run_at=run_at, expires_at=expires_at)
        cursor.execute(statement, [new.args, *params, *expiry, *options, *place, holder.pk])
        when, created_at = (clock.from_db(value) for value in cursor.fetchone())
    assert when is not None
    assert created_at is not None
    return Inserted(holder.pk, when, created_at, holder.state)


def _moment(at: datetime | None, after: float | None) -> tuple[str, list[Any]]:
    """A moment, or one so many seconds from the statement, as an SQL expression; null where there is neither."""
    return ("%s", [clock.to_db(at)]) if at is not None or after is None else clock.sql(after)
