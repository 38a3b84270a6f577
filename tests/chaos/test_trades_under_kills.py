"""SIGKILLs of all workers amid the sync of trades: rows and position agree at every moment, nothing twice or lost."""

from __future__ import annotations

import pytest
from django.db import connection

from markets.models import SyncLog, WhaleTrade
from scheduling import Retry, clock, crons
from scheduling.models import Cron, Job, State
from scheduling.testing.processes import until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

KILLS = 8
PATIENT = Retry(initial_backoff=0.05, base=1, max_failures=50)
# In one statement, so at one moment. Beyond the oldest key lie those that an overlap has read again from before it.
STANDS = """
SELECT count(*), max(external_key), (SELECT until FROM markets_position) FROM markets_whaletrade
WHERE external_key >= %s
"""


def agree(first: str) -> int:
    """That all trades from the first up to the position are there, and none beyond it; gives that in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(STANDS, [first])
        count, last, moment = cursor.fetchone()
    position = int(clock.from_db(moment).timestamp())
    assert int(last) == position
    assert count == position - int(first) + 1
    return position


def test_rows_and_position_agree_however_often_workers_are_killed(cluster):
    Cron.objects.all().delete()
    crons.register("trades", 1, "markets.sync_whale_trades", retry=PATIENT)
    host = cluster(modules=["tests.chaos.taping"])
    jobs = Job.objects.filter(cron="trades").exclude(state=State.SKIPPED)
    until(WhaleTrade.objects.exists, 20, host.log)
    first = WhaleTrade.objects.earliest("external_key").external_key
    began = agree(first)
    for _ in range(KILLS):
        position = agree(first)
        # a job that dies with its worker three times is given up; that rule has tests of its own
        hit = jobs.running().filter(crashes__lt=2)
        until(lambda position=position, hit=hit: agree(first) > position and hit.exists(), 30, host.log)
        host.kill("worker")
        agree(first)
        until(lambda: len(host.pids("worker")) == 2, 10, host.log)
    crons.pause("trades")
    until(lambda: not jobs.unfinished().exists(), 60, host.log)

    assert agree(first) > began
    assert {job.state for job in jobs} == {State.SUCCESS}
    assert sum(job.crashes for job in jobs) >= KILLS // 2
    assert not SyncLog.objects.running().exists()
