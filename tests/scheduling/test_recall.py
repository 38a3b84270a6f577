"""What a worker remembers of journals: a resume reads what is new, and never goes by what is no longer so."""

from __future__ import annotations

import pytest

from scheduling import mutation, scheduler, testing, workflow, workflows
from scheduling.cluster import journal, recall, slots
from scheduling.cluster.slots import Slots
from scheduling.models import JournalEntry, State

pytestmark = pytest.mark.django_db

STEPS = 60


@mutation(name="recall.add")
def add(n: int) -> int:
    return n + 1


@workflow(name="recall.long")
def long(step, steps: int) -> list[int]:
    found = [step.run(add, {"n": n}) for n in range(steps)]
    for _ in range(3):
        step.sleep(10)
        found.append(step.run(add, {"n": found[-1]}))
    return found


@pytest.fixture(autouse=True)
def _worker(monkeypatch):
    """This process as a worker."""
    slot = Slots(1).take()
    slot.receive(1, [])
    monkeypatch.setattr(slots, "mine", slot)
    monkeypatch.setattr(recall, "_known", {})


@pytest.fixture
def asked(monkeypatch):
    """From which place on journals have been read."""
    real, since = journal.read, []
    monkeypatch.setattr(journal, "read", lambda places: since.append([*places.values()]) or real(places))
    return since


def begun(steps=STEPS):
    made = workflows.start(long, {"steps": steps})
    testing.drain()
    return made


def is_right(made, steps=STEPS):
    job = scheduler.get(made.pk)
    assert (job.state, job.result) == (State.SUCCESS, [*range(1, steps + 1), steps + 1, steps + 2, steps + 3])
    return True


def test_a_resume_reads_from_the_last_step_that_has_ended(asked):
    with testing.clock():
        made = begun()
        for _ in range(3):
            testing.advance(10)
    assert asked == [[0], [STEPS], [STEPS + 2], [STEPS + 4]]
    assert is_right(made) and not recall._known, "what has ended is forgotten"


def test_what_another_worker_has_done_meanwhile_is_read(asked):
    with testing.clock():
        made = begun()
        here, recall._known = recall._known, {}
        testing.advance(10)
        recall._known = here
        testing.advance(10)
        testing.advance(10)
    assert asked == [[0], [0], [STEPS], [STEPS + 4]] and is_right(made)


def test_another_journal_of_that_number_is_read_as_a_whole(asked):
    with testing.clock():
        made = begun()
        last = JournalEntry.objects.get(workflow=made.pk, position=STEPS)
        last.attempt += 1
        last.save()
        testing.advance(10)
        assert asked == [[0], [STEPS], [0]]
        recall._known[made.pk].entries[STEPS + 2].finished_at = None
        testing.advance(10)
        testing.advance(10)
    assert is_right(made)


def test_a_journal_that_is_gone_is_begun_again(asked):
    with testing.clock():
        made = begun()
        JournalEntry.objects.filter(workflow=made.pk).delete()
        for _ in range(3):
            testing.advance(10)
        testing.advance(10)
    assert asked[:3] == [[0], [STEPS], [0]] and is_right(made)


def test_a_short_one_is_not_kept():
    with testing.clock():
        begun(steps=recall.LEAST - 10)
        assert not recall._known


def test_there_is_room_for_so_many(monkeypatch):
    with testing.clock():
        first = begun()
        weight = recall._weight(recall._known[first.pk])
        monkeypatch.setattr(recall, "ROOM", 2 * weight + 10)
        others = [begun().pk for _ in range(2)]
        assert [*recall._known] == others
        monkeypatch.setattr(recall, "ROOM", weight - 1)
        begun()
        assert not recall._known


def test_a_pass_that_failed_leaves_nothing_behind(monkeypatch):
    with testing.clock():
        made = begun()
        assert made.pk in recall._known
        real = journal.suspend
        monkeypatch.setattr(journal, "suspend", lambda those: False)
        testing.advance(10)
        assert made.pk not in recall._known
        monkeypatch.setattr(journal, "suspend", real)


def test_the_size_of_a_journal_is_counted_once(asked):
    with testing.clock():
        made = begun()
        testing.advance(10)
        rows = JournalEntry.objects.filter(workflow=made.pk)
        known = recall._known[made.pk]
        assert known.size == sum(entry.size for entry in journal.read({made.pk: 0})[made.pk])
        assert len(known.entries) == rows.count()
