"""A SQLite database without room for more."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection

from scheduling import Call, scheduler
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos.effects import EFFECTS, TABLE, effect, effects
from tests.chaos.few_pages import FEW_PAGES, pages

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL: test_outages_limits.py"),
]

BALLAST = "x" * 100_000


@pytest.fixture
def table(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("VACUUM")  # no page is free that was used before
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE outage_effect")


@pytest.fixture
def limit(tmp_path, monkeypatch):
    """A file: what is in it bounds the pages that hosts may use."""
    monkeypatch.setenv("FEW_PAGES", str(tmp_path / "pages"))
    return tmp_path / "pages"


def test_a_full_database_loses_nothing_and_work_goes_on_by_itself_when_there_is_room(cluster, table, limit):
    limit.write_text(str(pages()))
    host = cluster(modules=[EFFECTS, FEW_PAGES])
    jobs = scheduler.bulk([Call(effect, {"n": n, "room": 100_000}) for n in range(10)])
    until(lambda: "job.released" in host.log() and "disk is full" in host.log(), 10, host.log)
    assert not Job.objects.filter(state=State.FAILED).exists()
    limit.unlink()
    until(lambda: not Job.objects.unfinished().exists(), 20, host.log)
    assert set(Job.objects.values_list("state", "attempt", "crashes")) == {(State.SUCCESS, 1, 0)}
    assert effects("job") == [job.id for job in jobs]


def test_what_there_is_no_room_for_is_refused_at_the_call(table):
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA max_page_count = {pages()}")
    try:
        with pytest.raises(OperationalError, match="disk is full"):
            scheduler.bulk([Call(effect, {"n": n, "ballast": BALLAST}) for n in range(3)])
        assert not Job.objects.exists()
    finally:
        connection.close()
    scheduler.now(effect, {"n": 1, "ballast": BALLAST})
