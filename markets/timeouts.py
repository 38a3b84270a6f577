"""Syncs that nobody will end: past their time, or left by a job that has ended without saying so."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from markets.models import SyncLog
from markets.models.sync_log import PROCESS_ENDED, TIMEOUT
from scheduling import clock, scheduler
from scheduling.models import Job, State

TIME = {
    SyncLog.Feed.MARKETS: timedelta(minutes=5),
    SyncLog.Feed.TRADES: timedelta(seconds=45),
    SyncLog.Feed.BACKFILL: timedelta(hours=1),
}
"""How long one sync of one exchange may take."""


@transaction.atomic
def close() -> int:
    """Close the logs of syncs that are over, and cancel the jobs of those past their time; gives how many were closed.

    In one transaction. A log belongs to one attempt of its job: a later attempt is none of its business.
    """
    now = clock.now()
    # The logs before their jobs: what a job says is then at least as new, and an attempt that is over stays so.
    logs = list(SyncLog.objects.running().order_by("pk").defer("rejected_rows"))
    jobs = Job.objects.in_bulk([log.job_id for log in logs if log.job_id is not None])
    return sum(_close(log, jobs.get(log.job_id), now) for log in logs)


def _close(log: SyncLog, job: Job | None, now: datetime) -> int:
    reason = _over(log, job)
    if reason is None and now - log.started_at > TIME[log.feed]:
        reason = TIMEOUT
        _cancel(log)
    if reason is None:
        return 0
    return SyncLog.objects.filter(pk=log.pk).fail(at=now, error=reason)


def _over(log: SyncLog, job: Job | None) -> str | None:
    """Why no attempt goes on that would close the log; None where one does, or where it has no job."""
    if log.job_id is None:
        return None
    if job is None or not _is_of(log, job):
        return f"{TIMEOUT}: {PROCESS_ENDED}"
    return f"{TIMEOUT}: its job has ended ({job.state})" if job.is_final else None


def _is_of(log: SyncLog, job: Job) -> bool:
    """Whether the job's last attempt is the one that opened the log."""
    if job.attempt != log.attempt or job.state == State.PENDING:
        return False
    if job.started_at is None:  # of quick ones the start is not written; then no attempt was given back uncounted
        return job.claim == job.attempt
    return log.started_at >= job.started_at


def _cancel(log: SyncLog) -> None:
    """Cancel the log's job, unless its attempt is over by now."""
    ours = Job.objects.running().filter(pk=log.job_id, attempt=log.attempt).select_for_update()
    job = ours.first()
    if job is not None and _is_of(log, job):
        scheduler.cancel(job)
