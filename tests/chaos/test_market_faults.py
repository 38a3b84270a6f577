"""Every fault of the simulated exchanges, one by one and mixed, under a cluster that syncs all three.

Afterwards the database is what the world is, each run has its log, no worker was lost, and the key is nowhere.
CHAOS_MINUTES=10 makes the faults last for ten minutes in all; without it they take half a minute.
"""

from __future__ import annotations

import os
import time
from decimal import Decimal

import pytest
from django.contrib import admin
from django.db import connection
from django.urls import reverse

from markets.exchanges import circuit
from markets.models import Exchange, Market, SyncLog, WhaleTrade
from markets.simulator import running
from markets.simulator.comparing import compare
from markets.simulator.faults import NAMES
from markets.turns import CLIENTS
from scheduling import Retry, crons
from scheduling.models import Cron, Job, State
from scheduling.testing.processes import until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

KEY = "k3y-of-nobody-else"
EXCHANGES = ("opinion", "polymarket", "kalshi")
SECONDS = float(os.environ.get("CHAOS_MINUTES", 0)) * 60 or 30.0
MILD = {"delay": 0.5, "retry_after": 1}
QUICK = Retry(initial_backoff=0.1, base=2, max_failures=3)
CRONS = {"markets": "markets.sync_markets", "trades": "markets.sync_whale_trades"}


@pytest.fixture
def exchanges(monkeypatch, settings):
    """Three simulated exchanges, to which the settings of this process and of its clusters point."""
    with running(seed=3, topics=60, rate=0, trades_per_minute=120, key=KEY) as there:
        for name, value in {**there.roots, "OPINION_API_KEY": KEY, "WHALE_TRADE_MIN_USD": "100"}.items():
            monkeypatch.setenv(name, value)
            setattr(settings, name, value)
        monkeypatch.setenv("EXCHANGES", ",".join(EXCHANGES))
        for name in EXCHANGES:
            Exchange.objects.get_or_create(pk=name, defaults={"title": name})
        yield there


def differences(exchanges) -> list[str]:
    found = [compare(exchanges.control_url, name, least=Decimal(100)) for name in EXCHANGES]
    return [f"{one.exchange}: {difference}" for one in found for difference in one.differences]


def runs():
    return Job.objects.filter(name__in=CRONS.values()).exclude(state=State.SKIPPED)


def spoil(exchanges) -> None:
    """Each fault for its part of the time, which its circuit does not shorten; then as long again all mixed."""
    for name in NAMES:
        exchanges.fault(name, **MILD)
        time.sleep(SECONDS / 2 / len(NAMES))
        exchanges.clear()
        for exchange in EXCHANGES:
            circuit.close(exchange)
    exchanges.fault("mixed", **MILD)
    end = time.monotonic() + SECONDS / 2
    while time.monotonic() < end:
        time.sleep(1)
        for exchange in EXCHANGES:
            circuit.close(exchange)
    exchanges.clear()


def everything() -> str:
    """All rows of all tables."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found.append(str(cursor.fetchall()))
    return "\n".join(found)


def pages(client) -> str:
    """The pages of all lists of the admin, and of syncs and jobs that failed."""
    addresses = [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
    ]
    for model in (SyncLog, Job):
        failed = model.objects.filter(state="failed").order_by("-pk")[:20]
        addresses += [
            reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]) for row in failed
        ]
    answers = [client.get(address) for address in addresses]
    assert {answer.status_code for answer in answers} <= {200, 302}
    return "\n".join(answer.content.decode() for answer in answers)


def test_afterwards_all_is_as_if_nothing_had_been(cluster, exchanges, admin_client):
    Cron.objects.all().delete()
    for name, function in CRONS.items():
        crons.register(name, 1, function, retry=QUICK)
    host = cluster(modules=["tests.chaos.hurried"])
    workers = host.pids("worker")
    until(
        lambda: SyncLog.objects.filter(state="success").values("exchange", "feed").distinct().count() == 6, 30, host.log
    )
    assert Market.objects.count() > 180 and WhaleTrade.objects.exists()

    spoil(exchanges)
    exchanges.freeze()
    until(lambda: not differences(exchanges), 60, lambda: "\n".join(differences(exchanges)[:20]))
    for name in CRONS:
        crons.pause(name)
    until(lambda: not runs().unfinished().exists(), 30, host.log)

    assert host.pids("worker") == workers
    logs = set(SyncLog.objects.values_list("job_id", "attempt"))
    assert {(job.pk, number) for job in runs() for number in range(1, job.attempt + 1)} <= logs
    assert not SyncLog.objects.filter(state="running").exists()
    assert not SyncLog.objects.filter(state="failed", error="").exists()
    failed = SyncLog.objects.filter(state="failed")
    assert {(exchange, feed) for exchange, feed in failed.values_list("exchange", "feed")} == {
        (exchange, str(feed)) for feed in CLIENTS if feed in CRONS for exchange in EXCHANGES
    }
    texts = {"database": everything(), "log": host.log(), "pages": pages(admin_client)}
    assert [name for name, text in texts.items() if KEY in text] == []
    assert all(len(text) > 1_000 for text in texts.values())
