"""Our own adapter, asked as any other: real processes on a SQLite database."""

import pytest

from benchmarks.questions.drain import drain
from benchmarks.remote import Remote, SystemFailed
from benchmarks.run import run
from benchmarks.systems.registry import SYSTEMS, chosen

pytestmark = pytest.mark.processes


@pytest.fixture
def ours(tmp_path):
    spec = SYSTEMS["ours-sqlite"]
    with Remote(spec.python, spec.module, f"sqlite:///{tmp_path}/db.sqlite3", tmp_path / "ours", {}) as system:
        system.call("prepare")
        yield system


def test_a_drain_gives_a_rate_from_jobs_that_really_ran(ours, tmp_path):
    import sqlite3

    figures = drain(ours, "default", 50)
    assert figures["per_second"] > 0
    assert figures["ran_again"] == 0
    with sqlite3.connect(tmp_path / "db.sqlite3") as connection:
        ended = connection.execute("SELECT state, count(*) FROM scheduling_job GROUP BY state").fetchall()
    assert ended == [("success", 50)]


def test_what_a_system_cannot_do_is_told_and_the_next_call_works(ours):
    with pytest.raises(SystemFailed, match=r"benchmarks\.unknown"):
        ours.call("send", "unknown", 1)
    assert ours.call("remaining") == 0


def test_a_system_that_cannot_start_is_an_answer_with_an_error(tmp_path, monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(SYSTEMS, "ours-sqlite", replace(SYSTEMS["ours-sqlite"], module="benchmarks.systems.missing"))
    answers = run(["drain"], ["ours-sqlite"], 0.01, tmp_path / "results")
    assert "No module named 'benchmarks.systems.missing'" in answers["drain"]["ours-sqlite"]["error"]
    assert (tmp_path / "results" / "drain.ours-sqlite.json").exists()


def test_a_name_stands_for_all_set_ups_of_it():
    assert chosen(["awa"], peers=True) == ["awa-2", "awa-64", "awa-256"]
    assert chosen([], peers=False) == ["ours", "ours-sqlite"]
    with pytest.raises(ValueError, match="no such system: nobody"):
        chosen(["nobody"], peers=True)
