"""What each fault does to an answer.

| fault | what happens | option (default) |
|---|---|---|
| moved | the pages behind the first begin some rows too early, as if new rows had come in before them | rows (1) |
| skipped | they begin some rows too late, as if rows before them had gone | rows (1) |
| broken_rows | the first rows of each page are unusable | rows (1) |
| numbers | the first rows of each page hold negative and absurd numbers | rows (1) |
| duplicates | the first rows of each page stand there twice | rows (1) |
| wrong_types | an object where the list belongs, a list where the object does, a string for a number | |
| errno | HTTP 200 with an error inside | errno (10001) |
| http_error | a gateway's page | status (500) |
| too_many | HTTP 429 | retry_after (1 second) |
| redirect | HTTP 302 to another host | to (a name that does not exist) |
| not_json | HTTP 200 with a page | |
| nested | HTTP 200 with a million brackets | |
| content_type | the right body, called text/html | |
| large | the right body, followed by blanks | megabytes (9) |
| slow | the answer comes late | delay (5 seconds) |
| drip | the body comes byte by byte | delay (5 seconds between two) |
| cut | half of the body under the Content-Length of the whole, then the connection closes | |
| down | the connection closes without an answer | |
| mixed | each answer meets one of the above by chance, or none | chance (0.3), seed (1), delay (5: the longest) |

Where several are active they act in this order. Pages that are reached by a cursor neither move nor skip.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from markets.simulator import spoiling
from markets.simulator.reply import Reply, as_json, gateway

if TYPE_CHECKING:
    from markets.simulator.faults import Fault

Effect = Callable[["Fault", Reply], Reply]
DEEP = 1_000_000


def has_rows(answer: Reply) -> bool:
    """Whether it is a page of markets or trades, and not an empty one."""
    return answer.status == 200 and spoiling.named(spoiling.rows_of(json.loads(answer.body)))


def _on_rows(spoil: Callable[[list[Any], int], None]) -> Effect:
    """An effect that changes the rows of a page where they stand."""

    def effect(fault: "Fault", answer: Reply) -> Reply:
        content = json.loads(answer.body)
        spoil(spoiling.rows_of(content), fault.rows)
        return replace(answer, body=as_json(content).body)

    return effect


def _wrong_types(fault: "Fault", answer: Reply) -> Reply:
    return replace(answer, body=as_json(spoiling.mistyped(json.loads(answer.body))).body)


def _errno(fault: "Fault", answer: Reply) -> Reply:
    """In the shape of Opinion's errors; the others' say "error" only."""
    said = "the exchange is having trouble"
    if b'"errno"' in answer.body:
        return as_json({"errmsg": said, "errno": fault.errno, "result": None})
    return as_json({"error": {"code": "internal_server_error", "message": said}})


def _http_error(fault: "Fault", answer: Reply) -> Reply:
    return gateway(fault.status, "Server Error")


def _too_many(fault: "Fault", answer: Reply) -> Reply:
    return gateway(429, "Too Many Requests", Retry_After=str(fault.retry_after))


def _redirect(fault: "Fault", answer: Reply) -> Reply:
    return gateway(302, "Found", Location=fault.to)


def _not_json(fault: "Fault", answer: Reply) -> Reply:
    return gateway(200, "Back in a minute")


def _nested(fault: "Fault", answer: Reply) -> Reply:
    return Reply(b"[" * DEEP + b"]" * DEEP)


def _content_type(fault: "Fault", answer: Reply) -> Reply:
    return replace(answer, content_type="text/html")


def _large(fault: "Fault", answer: Reply) -> Reply:
    return replace(answer, body=answer.body + b" " * (fault.megabytes * 1_024 * 1_024))


def _slow(fault: "Fault", answer: Reply) -> Reply:
    return replace(answer, delay_seconds=answer.delay_seconds + fault.delay)


def _drip(fault: "Fault", answer: Reply) -> Reply:
    return replace(answer, drip_seconds=fault.delay)


def _cut(fault: "Fault", answer: Reply) -> Reply:
    return replace(answer, cut=True)


def _down(fault: "Fault", answer: Reply) -> Reply:
    return replace(answer, dropped=True)


SHIFTS = {"moved": -1, "skipped": 1}
"""By these the rows of a listing move before its pages are cut."""

ROW_EFFECTS: dict[str, Effect] = {
    "broken_rows": _on_rows(spoiling.break_rows),
    "numbers": _on_rows(spoiling.make_absurd),
    "duplicates": _on_rows(spoiling.repeat),
}
"""These need an answer with rows."""

EFFECTS: dict[str, Effect] = {
    **ROW_EFFECTS,
    "wrong_types": _wrong_types,
    "errno": _errno,
    "http_error": _http_error,
    "too_many": _too_many,
    "redirect": _redirect,
    "not_json": _not_json,
    "nested": _nested,
    "content_type": _content_type,
    "large": _large,
    "slow": _slow,
    "drip": _drip,
    "cut": _cut,
    "down": _down,
}
ORDER = (*SHIFTS, *EFFECTS)
