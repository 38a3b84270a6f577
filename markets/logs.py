"""The life of a SyncLog: opened `running`, and closed whatever happens to the sync."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import Error, connection, transaction

from markets import freshness
from markets.exceptions import ExchangeError
from markets.exchanges.cleaning import clean
from markets.models import SyncLog
from markets.models.sync_log import PROCESS_ENDED, TIMEOUT
from markets.results import Tally
from scheduling import clock
from scheduling.exceptions import JobTimeout

MAX_ERROR = 2_000
LOGGED = ("seen", "created", "updated", "unchanged", "rejected", "requests")
logger = logging.getLogger("markets.sync")


@transaction.atomic
def open_log(exchange: str, *, feed: str, job_id: int | None, attempt: int, at: datetime) -> SyncLog:
    """Open the log of a sync, and close those that killed processes left of the same exchange and feed."""
    same = SyncLog.objects.filter(exchange=exchange, feed=feed)
    same.abandoned(job_id=job_id, at=at).fail(at=at, error=PROCESS_ENDED)
    return SyncLog.objects.create(exchange_id=exchange, feed=feed, job_id=job_id, attempt=attempt, started_at=at)


@contextmanager
def closing_log(log: SyncLog, tally: Tally) -> Iterator[None]:
    """Close the log as success at the end of the block, as failed if it raises anything at all.

    A success resolves the alert of its feed, in the same transaction.
    """
    try:
        yield
    except BaseException as error:
        try:
            if isinstance(error, Error):
                connection.close_if_unusable_or_obsolete()
            _close(log, tally, error=error)
        except Error:  # the sync's own error says more; the next sync closes what stays open
            logger.exception("sync.log_left_open exchange=%s log=%s", log.exchange_id, log.pk)
        raise
    _close(log, tally)


def _close(log: SyncLog, tally: Tally, error: BaseException | None = None) -> None:
    fields: dict[str, Any] = tally.as_fields()
    fields["rejected_rows"] = [asdict(row) for row in tally.rejected]
    fields["missed"] = clean("; ".join(tally.missed), most=MAX_ERROR, secrets=tally.secrets)
    own = SyncLog.objects.filter(pk=log.pk)
    if error is not None:
        own.fail(at=clock.now(), error=describe(error, tally.secrets), **fields)
    else:
        with transaction.atomic():
            if own.succeed(at=clock.now(), **fields):
                freshness.restored(log.exchange_id, log.feed)
    _say("sync.fail" if error else "sync.finish", log, fields)


def _say(event: str, log: SyncLog, fields: Mapping[str, Any]) -> None:
    counts = " ".join(f"{name}={fields[name]}" for name in LOGGED)
    logger.info("%s exchange=%s log=%s %s", event, log.exchange_id, log.pk, counts)


def describe(error: BaseException, secrets: Sequence[str] = ()) -> str:
    """An error for operators: cut, cleaned, with what the exchange said."""
    if isinstance(error, JobTimeout):
        return TIMEOUT
    text = error.for_operators() if isinstance(error, ExchangeError) else f"{type(error).__name__}: {error}"
    return clean(text, most=MAX_ERROR, secrets=secrets)
