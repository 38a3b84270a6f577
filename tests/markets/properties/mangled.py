"""Answers of exchanges with anything in place of anything, as bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

RAW = ("1e400", "1E999999999", "-1e99999999999999999999", "0.1e-99999999", "9" * 4_500, "-0", "-0.0", "NaN", "Infinity")
"""Numbers as they stand in the text: json.dumps would not write most of them."""
TEXTS = (
    "", "0", "-1", "1", "0.5", "1e30", "1e-30", "NaN", "Infinity", "-Infinity", "null", "true", "1_000", " 1 ",
    "\uff11", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59:59.999999-14:00",
    "2026-10-01 12:00:00+00", "24:00", "\x00", "a\x00b", "\ud800", "\u202e", "x" * 3_000, "..", "../x",
    "[]", '["1", "0"]', '["Yes", "No"]', '["NaN"]', "[1e999999999]", "[[[]]]", "[" * 3_000, '{"a": 1}', '"',
    "yes", "BUY", "0" * 100,
)  # fmt: skip
LEFT_OUT = "<left out>"
ODDITIES = (
    *TEXTS, *(f"<raw>{number}" for number in RAW), None, True, False, 0, 1, -1, 10**30, 0.1, -0.5, [], {},
    [None], ["1"], [[]], {"a": "b"}, json.dumps(["9" * 81, "1"]), json.dumps(["1.5", "-0.5"]),
    json.dumps([None, "\x00"]), "9" * 81,
)  # fmt: skip
"""All that stands in a field where it should not."""
_RAW = re.compile(r'"<raw>([^"]*)"')

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**25), max_value=10**25)
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(TEXTS)
    | st.sampled_from([f"<raw>{number}" for number in RAW])
)
anything = st.recursive(
    leaves,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=6,
)


def entries(make: Callable[[int], dict[str, Any]]) -> st.SearchStrategy[Any]:
    """An entry with some fields changed or left out; sometimes none at all."""
    names = sorted(make(1))
    changes = st.dictionaries(st.sampled_from(names), anything | st.just(LEFT_OUT), max_size=3)

    def changed(number: int, changes: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in (make(number) | changes).items() if value != LEFT_OUT}

    return st.builds(changed, st.integers(1, 5), changes) | anything


def as_bytes(payload: Any) -> bytes:
    """The payload as it is sent."""
    return _RAW.sub(r"\1", json.dumps(payload)).encode()
