"""From a call as people write it to the row that is inserted: the one place where options are checked.

All verbs that schedule take a registered function, or its name, its arguments as JSON by keyword, at most 8 MiB, and
these options, of which None is as good as nothing said:

    run_at       an aware datetime; in the past: at once (bulk and retrier only)
    run_after    seconds or a timedelta from the statement, up to a century (bulk and retrier only)
    priority     -100 to 100, higher is claimed first; default: the function's
    retry        a Retry, True for the default one, False for none; default: the function's
    timeout      seconds or a timedelta that each attempt may run; default: the function's
    pool         the name of a pool, "" for none; default: the function's
    rate_limit   the name of a limit, or a RateLimit; default: the function's
    expires      seconds, a timedelta or an aware datetime: not begun by then, it is canceled as "expired"
    on_complete  a mutation that is told the end, exactly once, with what it takes of run_id, result and context
    context      any JSON value, for on_complete
    key          text of 1 to 200 characters that names this work among that of its function
    key_mode     "keep" (default), "replace", "debounce", "throttle" or "keep_last"
    window       seconds or a timedelta, with key_mode="throttle"
    max_wait     seconds or a timedelta, with key_mode="debounce"
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduling import functions, jsontext, lanes
from scheduling import options as checked
from scheduling.backoff import Retry
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption
from scheduling.functions import Function
from scheduling.keys import Key
from scheduling.models.insert import NewJob
from scheduling.shapes import ANYTHING, NotJSON

LONGEST_DELAY = timedelta(days=366 * 100)
KEY_OPTIONS = ("key", "key_mode", "window", "max_wait")
OPTIONS = (
    "run_at",
    "run_after",
    "priority",
    "retry",
    "pool",
    "rate_limit",
    "timeout",
    "expires",
    "on_complete",
    "context",
    *KEY_OPTIONS,
)


@dataclass(frozen=True)
class Call:
    """A function with its arguments and options, for scheduler.bulk()."""

    fn: Function | str
    args: Mapping[str, Any] | None
    options: dict[str, Any]

    def __init__(self, fn: Function | str, args: Mapping[str, Any] | None = None, **options: Any) -> None:
        object.__setattr__(self, "fn", fn)
        object.__setattr__(self, "args", args)
        object.__setattr__(self, "options", options)


def prepare(call: Call) -> tuple[NewJob, Key | None]:
    """The row of a call, checked, and its key if it has one.

    Raises InvalidArguments, InvalidOption or NotFound where it cannot be scheduled.
    """
    function, options = functions.schedulable(call.fn), call.options
    if unknown := options.keys() - OPTIONS:
        raise InvalidOption(f"unknown option {', '.join(sorted(unknown))}: it takes {', '.join(OPTIONS)}")
    if options.get("run_at") is not None and options.get("run_after") is not None:
        raise InvalidOption("give run_at or run_after, not both")
    priority = options.get("priority")
    expires_at, expires_in = _expiry(options.get("expires"), options.get("run_after"))
    args = function.store(call.args)
    new = NewJob(
        name=function.name,
        args=args,
        **lanes.place(function, args, options.get("pool"), options.get("rate_limit"))._asdict(),
        run_at=aware(options.get("run_at")),
        delay=0 if options.get("run_after") is None else delay_seconds(options["run_after"]),
        priority=function.options.priority if priority is None else checked.priority(priority),
        policy=policy(options.get("retry"), options.get("timeout")),
        on_complete=completion(options.get("on_complete")),
        context=stored_context(options.get("context")),
        expires_at=expires_at,
        expires_in=expires_in,
    )
    return new, _key({name: options[name] for name in KEY_OPTIONS if options.get(name) is not None})


def _key(options: dict[str, Any]) -> Key | None:
    if "key" not in options:
        if options:
            raise InvalidOption(f"{', '.join(sorted(options))}: takes a key")
        return None
    durations = {name: _duration(options[name]) for name in ("window", "max_wait") if name in options}
    return Key(name=options["key"], mode=options.get("key_mode", "keep"), **durations)


def _duration(value: float | timedelta) -> timedelta:
    return timedelta(seconds=delay_seconds(value))


def _expiry(
    expires: float | timedelta | datetime | None, run_after: float | timedelta | None
) -> tuple[datetime | None, float | None]:
    """A time of expiry, or seconds from the call; the job must be due before it."""
    if expires is None:
        return None, None
    if isinstance(expires, datetime):
        return aware(expires), None
    seconds = delay_seconds(expires)
    if seconds <= delay_seconds(run_after or 0):
        raise InvalidOption(f"it would expire after {seconds:g} s, before it is due")
    return None, seconds


def delay_seconds(delay: float | timedelta) -> float:
    """A delay as seconds: finite, 0 or more, at most a century."""
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise InvalidOption(f"a delay is a finite number of seconds or a timedelta, not {delay!r}")
    if not 0 <= seconds <= LONGEST_DELAY.total_seconds():
        raise InvalidOption(f"a delay is from 0 seconds to a century, not {delay!r}")
    return float(seconds)


def is_id(value: Any) -> bool:
    """Whether a value can be the id of a row, as both databases have it."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63


def aware(moment: datetime | None) -> datetime | None:
    """A moment with a time zone, in UTC; a naive one is refused, as nobody can say when it is."""
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidOption(f"a time is an aware datetime (with a time zone), not {moment!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidOption(f"a time is within the years 1 to 9999 of UTC, not {moment!r}") from error


def policy(retry: Retry | Mapping[str, Any] | bool | None, timeout: float | timedelta | None = None) -> str | None:
    """What a call says of its retries and timeout, as stored: None leaves it to the function, False: no retries."""
    said: dict[str, Any] = {}
    if retry is not None:
        given = checked.retry_policy(retry)
        said["retry"] = given.model_dump(mode="json") if given else False
    if (limit := checked.timeout(timeout)) is not None:
        said["timeout"] = limit.total_seconds()
    return jsontext.dumps(said) if said else None


def completion(on_complete: Function | str | None) -> str:
    """The name of an on_complete, which is a mutation."""
    if on_complete is None or on_complete == "":
        return ""
    function = functions.get(on_complete)
    if function.kind != "mutation":
        raise InvalidOption(f"on_complete is a mutation, and {function.name} is a {function.kind}")
    return function.name


def stored_context(context: Any) -> str | None:
    """A context as JSON text; InvalidOption where it is none, or is larger than a result may be."""
    try:
        text = None if context is None else ANYTHING.write(context)
    except NotJSON as error:
        raise InvalidOption(f"the context {error}") from error
    if text and len(text) > (most := conf().max_bytes):
        raise InvalidOption(
            f"the context takes {len(text):,} bytes as JSON, and {most:,} is the most; "
            "keep the data in a model and pass its id"
        )
    return text
