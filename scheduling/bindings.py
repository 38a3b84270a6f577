"""What is bound to events: `@on_event("market.resolved")` above a function or workflow, and how it takes them.

    @on_event("market.resolved", where=lambda data: data["volume"] > 1000, singleton="skip")
    @mutation
    def close_positions(data: dict, sent_at: datetime) -> None: ...

The function is called with those of `data`, `event`, `id` and `sent_at` that it takes. Options, which are checked when
the function is registered, so at start:

    where       a function of the event's data: whether it is wanted. It has no effects
    debounce    seconds, or Debounce: it runs once, so long after the last event, with the newest one's data
    batch       a number, or Batching: it is called with lists of as many events at most
    throttle    (limit, seconds), or Rate: no more starts in a time; the others start later
    rate_limit  (limit, seconds), or Rate: no more starts in a time; the others are dropped
    singleton   "skip": dropped while one runs; "cancel": the one that runs is canceled; or Singleton
    cancel_on   an event's name, a CancelOn, or up to five: what this has started is canceled by it
    priority    -100 to 100, or a function of the event's data

`key` in these is a path into the data ("market.id"), or a function of it: each value of it goes by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scheduling import functions, jsontext, options
from scheduling.backoff import Duration
from scheduling.exceptions import AlreadyExists, InvalidOption
from scheduling.functions import GIVEN_BY_CRON, Function

GIVEN = ("data", "event", "id", "sent_at")
LONGEST_NAME, LONGEST_KEY = 200, 200
MOST_CANCELERS = 5
NO_TIME, SECOND, DAY, YEAR = timedelta(0), timedelta(seconds=1), timedelta(days=1), timedelta(days=366)

Key = str | Callable[[Any], Any]


class _Option(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Debounce(_Option):
    """It runs once, `period` after the last event (up to a week), at the latest `max_wait` after the first."""

    period: Annotated[Duration, Field(gt=NO_TIME, le=timedelta(days=7))]
    max_wait: Annotated[Duration, Field(gt=NO_TIME, le=YEAR)] | None = None
    key: Key | None = None


class Batching(_Option):
    """It is called with `max_size` events, or with as many as there are `timeout` after the first."""

    max_size: Annotated[int, Field(ge=2, le=1000)] = 100
    timeout: Annotated[Duration, Field(gt=NO_TIME, le=DAY)] = timedelta(seconds=60)
    key: Key | None = None


class Rate(_Option):
    """At most `limit` starts at once, and in each `period` in the long run, evenly."""

    limit: Annotated[int, Field(ge=1, le=1_000_000)]
    period: Annotated[Duration, Field(gt=NO_TIME, le=YEAR)]
    key: Key | None = None


class Singleton(_Option):
    """At most one that has not ended: "skip" drops the new one, "cancel" cancels the old one."""

    mode: Literal["skip", "cancel"]
    key: Key | None = None


class CancelOn(_Option):
    """The event that cancels: where `match` (a path) is the same in both, and `where` (the old and new data) agrees."""

    event: str
    match: str | None = None
    where: Callable[[Any, Any], bool] | None = None


@dataclass(frozen=True)
class Binding:
    """A function that takes an event, and how."""

    event: str
    function: Function
    where: Callable[[Any], bool] | None = None
    debounce: Debounce | None = None
    batch: Batching | None = None
    throttle: Rate | None = None
    rate_limit: Rate | None = None
    singleton: Singleton | None = None
    cancel_on: tuple[CancelOn, ...] = ()
    priority: int | Callable[[Any], int] | None = None

    @property
    def name(self) -> str:
        """What it is called in the database."""
        return f"{self.event}>{self.function.name}"

    @property
    def grouping(self) -> Debounce | Batching | Rate | Singleton | None:
        """The option for which events of one key are taken one after the other."""
        return self.debounce or self.batch or self.throttle or self.rate_limit or self.singleton

    def wants(self, data: Any) -> bool:
        """Whether it takes an event with such data."""
        return self.where is None or bool(self.where(data))

    def key(self, data: Any) -> str:
        """The group that an event with such data is in."""
        key = self.grouping.key if self.grouping else None
        return short("" if key is None else _written(key(data) if callable(key) else at(data, key)))

    def matched(self, data: Any) -> str:
        """What events that cancel it must have in common with such data."""
        match = self.cancel_on[0].match if self.cancel_on else None
        return short("" if match is None else _written(at(data, match)))

    def priority_of(self, data: Any) -> int | None:
        """The priority of a job for such data, brought within bounds."""
        if self.priority is None or isinstance(self.priority, int):
            return self.priority
        return max(-100, min(100, int(self.priority(data))))

    def arguments(self, **known: Any) -> dict[str, Any]:
        """Those of the event's parts that the function takes."""
        return {name: value for name, value in known.items() if self.function.takes(name)}


def on_event(
    event: str,
    *,
    where: Callable[[Any], bool] | None = None,
    debounce: Debounce | Mapping[str, Any] | float | timedelta | None = None,
    batch: Batching | Mapping[str, Any] | int | None = None,
    throttle: Rate | Mapping[str, Any] | tuple[int, float] | None = None,
    rate_limit: Rate | Mapping[str, Any] | tuple[int, float] | None = None,
    singleton: Singleton | Mapping[str, Any] | str | None = None,
    cancel_on: CancelOn | Mapping[str, Any] | str | Sequence[CancelOn | Mapping[str, Any] | str] | None = None,
    priority: int | Callable[[Any], int] | None = None,
) -> Callable[[Function], Function]:
    """Bind a registered function or workflow to an event: see the top of this module for the options.

    Raises at once, so at start: InvalidOption for an option that cannot be, two that exclude each other, a function
    with parameters that no event gives, or what is no registered function; AlreadyExists where it is bound already.
    """
    given = Binding(
        event=event_name(event),
        function=None,  # type: ignore[arg-type]  # known when it decorates
        where=_callable("where", where),
        debounce=_option("debounce", Debounce, debounce, lambda value: {"period": value}),
        batch=_option("batch", Batching, batch, lambda value: {"max_size": value}),
        throttle=_option("throttle", Rate, throttle, _rate),
        rate_limit=_option("rate_limit", Rate, rate_limit, _rate),
        singleton=_option("singleton", Singleton, singleton, lambda value: {"mode": value}),
        cancel_on=_cancelers(cancel_on),
        priority=options.priority(priority) if isinstance(priority, int) else _callable("priority", priority),
    )
    _check_conflicts(given)

    def bind(function: Function) -> Function:
        _check_function(event, function)
        said = {field.name: getattr(given, field.name) for field in fields(Binding)}
        function.bindings.append(Binding(**said | {"function": function}))
        return function

    return bind


def bound_to(event: str) -> list[Binding]:
    """What takes an event of this name, by the functions' names."""
    return [each for each in _all() if each.event == event]


def canceled_by(event: str) -> list[Binding]:
    """What an event of this name may cancel."""
    return [each for each in _all() if any(canceler.event == event for canceler in each.cancel_on)]


def named(name: str) -> Binding | None:
    """The binding of a name; None where this host knows none."""
    return next((each for each in _all() if each.name == name), None)


def event_name(name: str) -> str:
    """A name that an event can have; else InvalidOption."""
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidOption(f"an event's name has 1 to {LONGEST_NAME} printable characters, not {name!r}")
    return name


def at(data: Any, path: str) -> Any:
    """What stands in data at a path ("market.id"); None where nothing does."""
    for part in path.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def free_from(rate: Rate, used_up_to: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """When the next start is allowed, now or later, and up to when the rate is used then.

    The generic cell rate algorithm: each start uses period / limit of time, and a period may be used ahead.
    """
    used = max(now, used_up_to or now) + rate.period / rate.limit
    return max(now, used - rate.period), used


def _all() -> list[Binding]:
    return [binding for function in functions.registered() for binding in function.bindings]


def _check_conflicts(given: Binding) -> None:
    """Two options of which each says when or whether an event starts something cannot both hold."""
    said = [
        name
        for name in ("debounce", "batch", "throttle", "rate_limit", "singleton", "cancel_on", "priority")
        if getattr(given, name) not in (None, ())
    ]
    excluded = {"batch": set(said), "debounce": {"throttle", "rate_limit", "singleton"}}
    excluded |= {"throttle": {"rate_limit", "singleton"}, "rate_limit": {"singleton"}}
    for name in said:
        if against := sorted((excluded.get(name, set()) & set(said)) - {name}):
            raise InvalidOption(f"on_event({given.event!r}): {name} and {against[0]} exclude each other")


def _check_function(event: str, function: Any) -> None:
    if not isinstance(function, Function):
        raise InvalidOption(f"on_event({event!r}) stands above @mutation, @action or @workflow")
    if function.kind == "query":
        raise InvalidOption(f"{function.name} is a query, which is called directly and never scheduled")
    for name, parameter in function.parameters.items():
        if name not in GIVEN and name != GIVEN_BY_CRON and parameter.default is parameter.empty:
            raise InvalidOption(
                f"{function.name} is bound to the event {event!r}, which gives {', '.join(GIVEN)}, and no {name!r}"
            )
    if any(binding.event == event for binding in function.bindings):
        raise AlreadyExists(f"{function.name} is bound to the event {event!r} already")


def _option(name: str, kind: type[Any], value: Any, short: Callable[[Any], dict[str, Any]]) -> Any:
    if value is None or isinstance(value, kind):
        return value
    try:
        return kind(**(value if isinstance(value, Mapping) else short(value)))
    except (ValidationError, TypeError) as error:
        wrong = (
            "; ".join(f"{'.'.join(map(str, each['loc'])) or name}: {each['msg']}" for each in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise InvalidOption(f"{name}={value!r}: {wrong}") from error


def _rate(value: Any) -> dict[str, Any]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError("takes (limit, seconds)")
    return {"limit": value[0], "period": value[1]}


def _cancelers(given: Any) -> tuple[CancelOn, ...]:
    some = [] if given is None else given if isinstance(given, list | tuple) else [given]
    found = tuple(_option("cancel_on", CancelOn, each, lambda value: {"event": value}) for each in some)
    for each in found:
        event_name(each.event)
    if len(found) > MOST_CANCELERS:
        raise InvalidOption(f"cancel_on takes up to {MOST_CANCELERS} events, not {len(found)}")
    if len({each.match for each in found}) > 1:
        raise InvalidOption("cancel_on: all events of one function have the same match")
    return found


def _callable(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise InvalidOption(f"{name} is a function of the event's data, not {value!r}")
    return value


def _written(value: Any) -> str:
    return jsontext.dumps(value)


def short(text: str) -> str:
    return text if len(text) <= LONGEST_KEY else hashlib.sha256(text.encode()).hexdigest()
