"""Which errors of the database are nobody's fault, so that the statement may be tried again; listed once."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import Error

from scheduling import clock
from scheduling.cluster.logs import storable
from scheduling.exceptions import JobTimeout, Permanent
from scheduling.redaction import redact

LONGEST_ERROR = 16_000  # characters of a stored error: its end, where the cause is
T = TypeVar("T")

# PostgreSQL: connection lost (08), rolled back for another (40), no room or connection (53), locked for longer
# than lock_timeout (55P03), shutdown and crash (57P), read only after a failover (25006)
TRANSIENT_SQLSTATES = ("08", "40", "53", "55P03", "57P", "25006")
READ_ONLY = "25006"
# Of a query's: it is read-only by itself, so that is no word of the database's
OF_A_QUERY = tuple(state for state in TRANSIENT_SQLSTATES if state != READ_ONLY)
# Of our own guarded statements: those, and time-outs that a database's settings may bring
OURS_AGAIN = (*TRANSIENT_SQLSTATES, "57014", "25P03")
TRANSIENT_SQLITE = ("locked", "busy", "disk is full", "disk I/O error")
LONGEST_WAIT = 2.0


def is_transient(error: BaseException, sqlstates: tuple[str, ...] = TRANSIENT_SQLSTATES, held: Any = None) -> bool:
    """Whether the database, and not the statement, is to blame.

    An error without an SQLSTATE is transient only where the connection is really gone: a body may also have
    closed a cursor, or have lost a connection of its own to elsewhere. `held` is what held() gave before: at the
    end of a transaction whose connection is lost Django opens another one.
    """
    if not isinstance(error, Error):
        return False
    connection = clock.database()
    if connection.vendor == "sqlite":
        return any(words in str(error) for words in TRANSIENT_SQLITE)
    state = getattr(error.__cause__, "sqlstate", None)
    if state is not None:
        return bool(state.startswith(sqlstates))
    if connection.connection is None or not connection.is_usable():
        return True
    return held is not None and connection.connection is not held


def held() -> Any:
    """The driver's connection that what follows is done on."""
    connection = clock.database()
    connection.ensure_connection()
    return connection.connection


class Unfit(Permanent):
    """Arguments or a result that do not fit the function: final, and told without a traceback."""


def describe(error: BaseException) -> str:
    """An error with its traceback, without secrets, bounded, whatever its own methods do."""
    try:
        ours = isinstance(error, JobTimeout | Unfit)
        text = str(error) if ours else "".join(traceback.format_exception(error))
    except Exception as worse:
        text = f"{type(error).__name__} (its description raised {type(worse).__name__})"
    return storable(redact(text.strip()))[-LONGEST_ERROR:]


def last_line(description: str) -> str:
    """What a description says, for a line of a log or a list; empty where it says nothing.

    Of a group of errors, which is drawn with rulers, it is the last one.
    """
    lines = (line.strip(" |") for line in reversed(description.splitlines()))
    return next((line[-500:] for line in lines if line.strip("+-")), "")


def first_line(error: BaseException) -> str:
    """What an error says, for a line of a log; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def insist(step: Callable[[], T]) -> T:
    """Do a guarded step until the database answers, with growing waits of at most 2 s (by chance up to 3) between.

    The step may in truth have been committed when its answer was lost: its guard then matches no row.
    Inside a caller's transaction it is tried once, as a broken transaction cannot be mended here.
    """
    wait, link = 0.05, None
    while True:
        try:
            link = held()
            return step()
        except Error as error:
            if clock.database().in_atomic_block or not is_transient(error, OURS_AGAIN, link):
                raise
            clock.database().close()
        time.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(wait * 2, LONGEST_WAIT)
