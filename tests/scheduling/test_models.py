"""The rows: what the database refuses, and how it finds them."""

from __future__ import annotations

import os
import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from scheduling import Call, Retry, crons, functions, retrier, scheduler, testing
from scheduling.cluster import claims, groups, rescue, transitions
from scheduling.models import Attempt, Cron, Host, Job, PastAttempt, State
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="plans of PostgreSQL")


def refused(model, constraint, /, **columns):
    """Whether the database refuses to make this row of all rows, by the constraint of this name."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        model.objects.update(**columns)
    return constraint in str(caught.value)


# What is impossible


@pytest.mark.parametrize(
    ("constraint", "columns"),
    [
        ("job_state", {"state": "sleeping"}),
        ("job_finished", {"state": State.SUCCESS}),
        ("job_finished", {"state": State.CANCELED}),
        ("job_finished", {"finished_at": Now()}),
        ("job_claimed", {"state": State.IN_PROGRESS}),
        ("job_claimed", {"state": State.IN_PROGRESS, "claim": 1, "attempt": 1}),
        ("job_claimed", {"state": State.IN_PROGRESS, "claim": 1, "host_id": 1}),
        ("job_priority", {"priority": 101}),
        ("job_priority", {"priority": -101}),
        ("job_counts", {"attempt": 1}),
        ("job_counts", {"attempt": -1}),
        ("job_skipped", {"state": State.SKIPPED, "finished_at": Now()}),
        ("job_backfill", {"backfill": True}),
        ("job_backfill", {"backfill": True, "cron": "c"}),
    ],
)
def test_the_database_refuses_an_impossible_job(constraint, columns):
    scheduler.now(work.noop)
    assert refused(Job, constraint, **columns)


def test_a_finished_job_cannot_lose_its_end(drain):
    scheduler.now(work.noop)
    drain()
    assert refused(Job, "job_finished", finished_at=None)
    assert refused(Job, "job_finished", state=State.PENDING)


def test_one_job_for_each_instant_of_a_cron(clock):
    crons.register("c", 60, work.noop, overlap="allow")
    testing.advance(120)
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.update(scheduled_for=clock.now())


@pytest.mark.parametrize(
    ("constraint", "columns"),
    [
        ("cron_overlap", {"overlap": "maybe"}),
        ("cron_catch_up", {"catch_up": "some"}),
        ("cron_ticks", {"next_tick_at": None}),
    ],
)
def test_the_database_refuses_an_impossible_cron(constraint, columns):
    crons.register("c", 60, work.noop)
    assert refused(Cron, constraint, **columns)


def test_a_retired_or_broken_cron_need_not_tick():
    crons.register("c", 60, work.noop)
    Cron.objects.update(next_tick_at=None, retired_at=Now())
    Cron.objects.update(next_tick_at=None, retired_at=None, broken="why")


def test_an_attempt_is_kept_once(clock):
    retrier.run(work.flaky, max_failures=2, initial_backoff=1)
    testing.advance(60)
    assert PastAttempt.objects.count() == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        PastAttempt.objects.update(number=F("number") * 0)


def test_no_row_of_a_job_says_who_scheduled_it():
    related = {field.related_model for field in Job._meta.get_fields() if field.is_relation}
    assert get_user_model() not in related


def test_a_job_is_not_saved():
    job = scheduler.now(work.noop)
    with pytest.raises(TypeError, match="a job is not saved"):
        job.save()
    with pytest.raises(TypeError):
        Job.objects.create(name="x", run_at=job.run_at, created_at=job.created_at)


def test_a_saved_cron_is_its_own_projection():
    cron = crons.register("c", 60, work.noop)
    cron.function, cron.next_tick_at = "work.add", cron.next_tick_at + timedelta(days=1)
    cron.save()
    parent = cron.schedule_ptr
    parent.refresh_from_db()
    assert (parent.name, parent.func, parent.next_run, parent.repeats) == ("c", "work.add", cron.next_tick_at, 0)


def test_deleting_the_parent_never_takes_jobs_along():
    cron = crons.register("c", 60, work.noop)
    job = crons.run_now("c")
    cron.schedule_ptr.delete()
    assert not Cron.objects.exists()
    assert scheduler.get(job.id).cron == "c"


# Attempts


def test_the_view_shows_all_attempts_and_the_last(clock, random):
    random(0.5)
    run = retrier.run(work.flaky, {"until": 3}, initial_backoff=10)
    assert list(run.attempts.all()) == []
    testing.drain()
    assert [attempt.number for attempt in run.attempts.all()] == [1]
    testing.advance(60)
    attempts = list(scheduler.get(run.id).attempts.select_related("host"))
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert [attempt.id for attempt in attempts] == [f"{run.id}.{n}" for n in (1, 2, 3)]
    assert [bool(attempt.error) for attempt in attempts] == [True, True, False]
    assert all(attempt.host.pid == os.getpid() for attempt in attempts)
    assert all(attempt.started_at.tzinfo and attempt.finished_at.tzinfo for attempt in attempts)


def test_the_view_shows_a_running_attempt_and_none_that_never_began():
    host = rescue.register(1, os.getpid())
    job = scheduler.now(work.noop)
    (claim,) = take(host)
    assert not job.attempts.exists()
    transitions.start(claim, 7)
    running = job.attempts.get()
    assert (running.number, running.finished_at, running.process, running.host) == (1, None, 7, host)
    scheduler.cancel(job)
    assert job.attempts.get().finished_at is not None


def test_the_view_can_be_filtered_and_joined(clock):
    retrier.run(work.flaky, max_failures=1, initial_backoff=1)
    testing.advance(10)
    assert Attempt.objects.filter(job__name="work.flaky", error__contains="ValueError").count() == 2
    assert Job.objects.filter(attempts__number=2).count() == 1


# JSON


def test_looks_into_arguments():
    scheduler.bulk([Call(work.noop, {"n": n}) for n in range(5)])
    scheduler.now(work.write, {"name": "x"})
    assert Job.objects.filter(args__n=3).count() == 1
    assert Job.objects.filter(args__name="x").count() == 1
    assert Job.objects.filter(args__n__gte=3, name="work.noop").count() == 2
    assert Job.objects.filter(args__n=None).count() == 0
    assert Job.objects.filter(args={"n": 3}).count() == 1


@pytest.mark.parametrize("value", [None, True, 0, -1.5, 1e22, 2**70, "NUL \0", "\ud800", [], {"a": [None]}, "null", ""])
def test_json_comes_back_as_it_went(value):
    job = scheduler.now(work.noop, on_complete=work.noted, context=value)
    got = scheduler.get(job.id).context
    assert got == value
    assert type(got) is type(value)


def test_what_is_no_json_is_shown_as_it_is_and_stays_so():
    cron = crons.register("c", 60, work.noop)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduling_cron SET arguments = '{oops'")
    cron = crons.get("c")
    assert cron.arguments == "{oops"
    cron.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT arguments FROM scheduling_cron")
        assert cursor.fetchone() == ("{oops",)


# Names


def test_a_job_has_the_names_that_others_rely_on(clock, random):
    random(0.5)
    job = scheduler.now(work.flaky, {"until": 2}, key="k", priority=3, retry=Retry(initial_backoff=10))
    assert (job.created, type(job.id), job.id > 0) == (True, int, True)
    began = clock.now()
    testing.advance(60)
    found = scheduler.get(job.id)
    assert (found.name, found.args, found.key, found.priority) == ("work.flaky", {"until": 2}, "k", 3)
    assert (found.state, found.attempt, found.result, found.error) == ("success", 2, "attempt 2", "")
    later = began + timedelta(seconds=10)
    assert (found.run_at, found.started_at, found.finished_at) == (later, later, later)
    assert (found.log, found.progress) == ("", None)
    first, last = found.attempts.order_by("number")
    assert [(one.number, one.started_at, one.finished_at, one.log) for one in (first, last)] == [
        (1, began, began, ""),
        (2, later, later, ""),
    ]
    assert (first.error.splitlines()[-1], last.error) == ("ValueError: flaky", "")


# Words


def test_how_rows_introduce_themselves():
    job = scheduler.now(work.noop)
    cron = crons.register("c", 60, work.noop)
    host = rescue.register(1, os.getpid())
    assert [str(row) for row in (job, cron, host)] == [
        f"work.noop #{job.id}",
        "c",
        f"{host.hostname}:{os.getpid()}",
    ]


def test_crons_in_words():
    for name in "abcd":
        crons.register(name, 60, work.noop)
    crons.pause("a")
    Cron.objects.filter(key="b").update(retired_at=Now())
    Cron.objects.filter(key="c").update(broken="why", declared={})
    assert [cron.key for cron in Cron.objects.active()] == ["d"]
    assert [cron.key for cron in Cron.objects.declared()] == ["c"]
    assert not Host.objects.running().exists()


# Plans


@pytest.fixture
def full(clock):
    """A table as after some time: most have ended, some wait for later, some are due; of a cron, too."""
    crons.register("c", 60, work.noop, overlap="allow")
    scheduler.bulk([Call(work.noop, {"n": n}) for n in range(1000)])
    Job.objects.update(state=State.SUCCESS, finished_at=Now())
    columns = ", ".join(field.column for field in Job._meta.concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO scheduling_job ({columns}) SELECT {columns} FROM scheduling_job, generate_series(1, 25)"
        )
    Job.objects.filter(pk__in=Job.objects.values("pk")[:300]).update(cron="c")
    scheduler.bulk([Call(work.noop, run_after=3600 + n) for n in range(500)])
    scheduler.bulk([Call(work.noop, priority=n % 2) for n in range(200)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scheduling_job")


def plan(statement, params):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", params)
        return "\n".join(row[0] for row in cursor.fetchall())


def captured(queries, words):
    (found,) = [query["sql"] for query in queries if words in query["sql"]]
    return plan(found.replace("%", "%%"), [])


@postgresql
def test_the_claim_and_the_look_use_the_index_of_what_is_due(full, django_assert_max_num_queries):
    host = rescue.register(1, os.getpid())
    with django_assert_max_num_queries(2) as queries:
        (first, second) = claims.look(functions.names()).lanes
        claimed = claims.claim(host.pk, functions.names(), first, 10)
    assert (first.priority, second.priority, len(claimed)) == (1, 0, 10)
    claim = captured(queries, "UPDATE scheduling_job")
    assert "job_due" in claim
    assert "Seq Scan on scheduling_job" not in claim
    looked = captured(queries, "RECURSIVE")
    assert "job_due" in looked
    assert "Seq Scan on scheduling_job" not in looked


@postgresql
def test_each_ending_finds_its_row_by_its_id(full, django_assert_max_num_queries):
    host = rescue.register(1, os.getpid())
    claim, *_ = take(host)
    with django_assert_max_num_queries(9) as queries:
        transitions.finish(claim, "1", transitions.Trace())
    assert re.search(r"Index Cond: .*\(id = ", captured(queries, "SET state"))


@postgresql
@pytest.mark.parametrize(
    "change",
    [
        lambda claims: transitions.finish_some([(claim, "1", transitions.Trace()) for claim in claims]),
        lambda claims: transitions.give_back([(claim.id, claim.claim) for claim in claims]),
        lambda claims: groups.start([(claim.id, claim.claim) for claim in claims], 1),
        lambda claims: groups.finish({(claim.id, claim.claim): ("1", "") for claim in claims}),
        lambda claims: groups.refile(claims),
    ],
    ids=["finish_some", "give_back", "groups.start", "groups.finish", "groups.refile"],
)
def test_what_changes_many_at_once_finds_each_by_its_id_and_reads_no_index_of_states(full, change):
    """Of what has run, and is dead, an index of states holds a million entries where somebody keeps an old snapshot."""
    claimed = take(rescue.register(1, os.getpid()), 5)
    with CaptureQueriesContext(connection) as queries:
        assert len(change(claimed)) == 5
    found = captured(queries, "UPDATE scheduling_job")
    assert re.search(r"Index Cond: .*\(id = ", found), found
    assert "job_by_state" not in found
    assert "job_claimed_by" not in found
    assert "Seq Scan on scheduling_job" not in found


@postgresql
def test_the_history_of_a_cron_uses_its_index(full):
    history = Job.objects.filter(cron="c").order_by("-pk")[:20]
    assert "job_of_cron" in history.explain()


@postgresql
def test_lists_by_state_and_by_function_page_by_their_indexes(full):
    assert "job_by_state" in Job.objects.filter(state=State.FAILED).order_by("-pk")[:20].explain()
    assert "job_by_name" in Job.objects.filter(name="work.add").order_by("-pk")[:20].explain()
    assert "job_ended" in Job.objects.filter(finished_at__lt=Now() - timedelta(days=7))[:20].explain()
