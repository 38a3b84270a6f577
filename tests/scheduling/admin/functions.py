"""What the tests of the admin schedule."""

from __future__ import annotations

import logging
from typing import Any

from scheduling import RateLimit, Retry, action, context, mutation, query

SCRIPT = "<script>alert(1)</script>"
BREAKOUT = "\"'></textarea></title></svg><img src=x onerror=alert(1)>"
HOSTILE = SCRIPT + BREAKOUT


@mutation(name="adminwork.fine")
def fine(n: int = 0, note: str = "") -> dict[str, Any]:
    """Does little."""
    return {"n": n, "note": note}


@query(name="adminwork.count")
def count(name: str) -> int:
    """Counts, and is never scheduled."""
    return len(name)


@action(
    name="adminwork.fetch", pool="exchange", rate_limit=RateLimit("api", key="market_id"), timeout=45, keep_for=86400
)
async def fetch(market_id: int, side: str = "yes") -> None:
    """Fetches what is asked for."""


@action(name="adminwork.loud", retry=Retry(initial_backoff=0, max_failures=1))
def loud(note: str = "") -> None:
    """Logs what it is given, and fails with it."""
    context.progress(1, 2, note)
    logging.getLogger("adminwork").warning("said: %s", note)
    raise ValueError(note)
