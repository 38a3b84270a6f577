"""`manage.py sync_trades`, `compute_stats` and `cleanup`, as a shell sees them."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from markets.exceptions import Unreachable
from markets.exchanges import TAPES
from markets.exchanges.rows import Slice
from markets.models import MarketStats, SyncLog, WhaleTrade
from markets.writing import write_page
from scheduling import clock, scheduler
from tests.markets.rows import START, ScriptedTape, row, trade

pytestmark = pytest.mark.django_db(transaction=True)

SYNCED = ["exchange", "seen", "created", "updated", "unchanged", "rejected", "requests", "seconds"]


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def tape(monkeypatch):
    for name in list(TAPES):
        monkeypatch.delitem(TAPES, name)
    tape = ScriptedTape(Slice(until=START, rows=(trade(1), trade(2))))
    monkeypatch.setitem(TAPES, "opinion", tape)
    return tape


def test_trades_as_json_twice(tape):
    first, second = (json.loads(run("sync_trades", "--json")[0]) for _ in range(2))
    assert list(first) == list(second) == SYNCED
    assert (first["created"], second["created"], second["unchanged"]) == (2, 0, 2)
    assert WhaleTrade.objects.count() == 2


def test_trades_for_people_and_progress_beside_them(tape):
    out, err = run("sync_trades", "--exchange", "opinion")
    assert out.startswith("opinion: 2 seen, 2 created") and out.count("\n") == 1
    assert "opinion: 2 new trades" in err and "seconds of trading" in err and "\x1b" not in out + err


def test_trades_of_an_exchange_in_trouble_are_a_failure(tape):
    tape.script = (Unreachable("GET /trades: no answer"),)
    with pytest.raises(CommandError, match="opinion: GET /trades: no answer") as caught:
        run("sync_trades", "--json")
    assert caught.value.returncode == 1


def test_trades_of_an_unknown_exchange_are_wrong_use(tape):
    with pytest.raises(CommandError, match="nowhere") as caught:
        run("sync_trades", "--exchange", "nowhere")
    assert caught.value.returncode == 2


def test_stats_as_json_and_for_people():
    write_page(exchange="opinion", rows=[row(1), row(2, status="closed")], at=START)
    stats = json.loads(run("compute_stats", "--json")[0])
    assert list(stats) == ["total_markets", "active_markets", "total_volume", "average_price", "computed_at"]
    assert (stats["total_markets"], stats["active_markets"], stats["average_price"]) == (2, 1, None)
    assert stats["total_volume"] == "25.000000000000000002"
    out, _ = run("compute_stats")
    assert out.startswith("2 markets, 1 of them active; volume 25.000000000000000002, average price not known")


def test_cleanup_as_json_and_for_people():
    def old():
        at = clock.now() - timedelta(days=3)
        SyncLog.objects.create(exchange_id="opinion", state="failed", started_at=at, finished_at=at)

    old()
    out, err = run("cleanup", "--json")
    assert json.loads(out) == {"sync_logs": 1, "runs": 0, "prices": 0}
    assert err == "1 rows removed, now sync logs\n"
    old()
    assert run("cleanup")[0] == "removed 1 sync logs, 0 finished runs and 0 prices\n"


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("sync_trades", "markets.sync_whale_trades"),
        ("compute_stats", "markets.compute_stats"),
        ("cleanup", "markets.cleanup"),
    ],
)
def test_each_can_be_left_to_the_cluster(command, function, tape):
    out, _ = run(command, "--enqueue")
    job = scheduler.get(int(out))
    assert (job.name, job.args, job.state) == (function, {}, "pending")
    assert json.loads(run(command, "--enqueue", "--json")[0])["job"] > job.id
    assert not WhaleTrade.objects.exists() and not MarketStats.objects.exists()


def test_one_exchange_can_be_left_to_the_cluster(tape):
    job = scheduler.get(int(run("sync_trades", "--enqueue", "--exchange", "opinion")[0]))
    assert job.args == {"exchange": "opinion"}
