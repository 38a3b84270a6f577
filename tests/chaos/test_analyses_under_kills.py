"""A scan of markets over HTTP whose workers and pushers are killed: each analysis ends, with one report."""

from __future__ import annotations

from collections import Counter

import pytest

from markets.analysis.fetching import ANALYSES
from markets.analysis.functions import deep_scan
from markets.models import Report
from markets.simulator import running
from markets.sync import sync_exchange
from scheduling import batches, limits
from scheduling.models import Job
from scheduling.testing.processes import until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

MARKETS, KILLS = 60, 8
WITHIN = 90.0  # seconds


@pytest.fixture
def exchange(monkeypatch, settings):
    """Opinion, synced, and asked without limits of ours."""
    with running(topics=120, rate=0) as exchange:
        monkeypatch.setenv("OPINION_API_URL", exchange.url)
        settings.OPINION_API_URL, settings.OPINION_RATE = exchange.url, 0
        sync_exchange("opinion")
        yield exchange


def test_each_analysis_ends_with_one_report(cluster, exchange):
    limits.sync(only_add=True)
    limits.edit(ANALYSES, rate=6_000, capacity=MARKETS)
    host = cluster(modules=["tests.chaos.hurried"])
    scan = deep_scan(top=MARKETS)
    assert scan["scheduled"] == MARKETS
    for number in range(KILLS):
        asked = exchange.requests
        until(lambda asked=asked: exchange.requests > asked + 10, WITHIN, host.log)
        host.kill("pusher" if number % 4 == 3 else "worker")
    until(lambda: batches.status(scan["batch"]).state == "success", WITHIN, host.log)

    analyses = Job.objects.filter(batch=scan["batch"])
    assert {job.state for job in analyses} == {"success"}, [job.error for job in analyses if job.error]
    assert Counter(Report.objects.values_list("job_id", flat=True)) == Counter(job.pk for job in analyses)
    assert [job.result["missing"] for job in analyses if job.result["missing"]] == []
    ended = until_told(host)
    assert ended.result == {"total": MARKETS, "succeeded": MARKETS, "failed": 0, "canceled": 0}


def until_told(host) -> Job:
    """The job that is told the end of the scan, as it has ended."""
    told = Job.objects.filter(name="markets.scan_ended")
    until(lambda: told.filter(state="success").exists(), 10, host.log)
    return told.get()
