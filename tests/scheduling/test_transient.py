"""Errors that are the database's own: a mutation runs again, and that was no attempt."""

from __future__ import annotations

import os
import threading

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from psycopg import errors

from scheduling import Retry, action, mutation, scheduler, testing
from scheduling.cluster import executor, rescue
from scheduling.cluster.errors import is_transient
from scheduling.cluster.slots import Slots
from scheduling.models import State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import Elsewhere, blocked

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs row locks")


def of_the_database(state=errors.SerializationFailure):
    """An OperationalError as Django raises it for this database."""
    if connection.vendor == "sqlite":
        return OperationalError("database is locked")
    error = OperationalError("could not serialize access")
    error.__cause__ = state("could not serialize access")
    return error


def failing(name, times, error, by=mutation, **options):
    """A function that writes, and raises an error in its first executions."""
    runs = []

    @by(name=name, **options)
    def body() -> int:
        runs.append(1)
        Group.objects.create(name=f"{name} {len(runs)}")
        if len(runs) <= times:
            raise error()
        return len(runs)

    return body


@pytest.mark.parametrize("retry", [False, True])
def test_a_mutation_runs_again_and_no_attempt_is_counted(clock, advance, retry):
    body = failing(f"test.transient.{retry}", 3, of_the_database, retry=retry)
    job = scheduler.now(body)
    advance(60)
    job.refresh_from_db()
    assert (job.state, job.result, job.attempt, job.claim) == (State.SUCCESS, 4, 1, 4)
    assert [group.name for group in Group.objects.all()] == [f"{body.name} 4"]
    assert [attempt.number for attempt in job.attempts.all()] == [1]


def test_the_waits_between_grow_and_are_bounded(clock, drain, advance):
    job = scheduler.now(failing("test.transient.waits", 99, of_the_database))
    waits = []
    for _ in range(14):
        drain()
        job.refresh_from_db()
        waits.append((job.run_at - clock.now()).total_seconds())
        clock.jump(waits[-1])
    assert waits[:4] == pytest.approx([0.05, 0.1, 0.2, 0.4], rel=0.01)
    assert waits[-1] == 30
    assert (job.state, job.attempt) == (State.PENDING, 0)


def test_thousands_of_releases_do_not_overflow(clock, drain):
    job = scheduler.now(failing("test.transient.long", 1, of_the_database))
    type(job).objects.filter(pk=job.pk).update(claim=5000)
    drain()
    job.refresh_from_db()
    assert job.state == State.PENDING
    assert (job.run_at - clock.now()).total_seconds() == 30


def test_an_action_has_failed_as_it_may_have_had_effects(clock, advance):
    once = scheduler.now(failing("test.transient.once", 1, of_the_database, by=action))
    again = scheduler.now(failing("test.transient.again", 1, of_the_database, by=action, retry=Retry()))
    advance(60)
    once.refresh_from_db()
    again.refresh_from_db()
    assert (once.state, once.attempt) == (State.FAILED, 1)
    assert (again.state, again.attempt) == (State.SUCCESS, 2)


def test_errors_of_the_bodys_own_are_failures(clock, advance):
    def broken_constraint():
        return IntegrityError("own")

    job = scheduler.now(failing("test.transient.own", 1, broken_constraint))
    advance(60)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.FAILED, 1)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.SerializationFailure, True),
        (errors.DeadlockDetected, True),
        (errors.AdminShutdown, True),
        (errors.CrashShutdown, True),
        (errors.CannotConnectNow, True),
        (errors.ConnectionFailure, True),
        (errors.TooManyConnections, True),
        (errors.LockNotAvailable, True),
        (errors.QueryCanceled, False),
        (errors.UndefinedTable, False),
    ],
)
@postgresql
def test_which_errors_of_postgresql_may_be_tried_again(error, expected):
    raised = OperationalError("x")
    raised.__cause__ = error("x")
    assert is_transient(raised) is expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("database is locked", True),
        ("database table is locked", True),
        ("disk I/O error", True),
        ("no such table: x", False),
        ("attempt to write a readonly database", False),
        ("interrupted", False),
    ],
)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's words")
def test_which_errors_of_sqlite_may_be_tried_again(words, expected):
    assert is_transient(OperationalError(words)) is expected


@postgresql
def test_an_error_without_an_sqlstate_is_transient_only_where_the_connection_is_gone():
    error = InterfaceError("the connection is closed")
    assert not is_transient(error)  # as where a body used a cursor that it had closed
    connection.ensure_connection()
    connection.connection.close()
    assert is_transient(error)
    connection.close()


def test_other_errors_are_not_transient():
    assert not is_transient(ValueError("x"))
    assert not is_transient(IntegrityError("x"))


@committing
@postgresql
def test_a_real_deadlock(clock, advance):
    """Two transactions lock two rows in opposite orders; PostgreSQL ends one, and ours is run again."""
    one, two = Group.objects.create(name="one"), Group.objects.create(name="two")
    runs, others = [], []

    def lock(row):
        Group.objects.select_for_update().get(pk=row.pk)

    def other():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '60s'")  # so that the mutation is the victim
            lock(two)
            others.append(1)
            lock(one)

    @mutation(name="test.transient.deadlock")
    def body() -> int:
        runs.append(1)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '20ms'")
        lock(one)
        if len(runs) == 1:
            others.append(Elsewhere(other))
            until(lambda: 1 in others and blocked(), 10)
        lock(two)
        return len(runs)

    job = scheduler.now(body)
    advance(60)
    others[0].result()
    job.refresh_from_db()
    assert (job.state, job.result, job.attempt) == (State.SUCCESS, 2, 1)


@committing
@postgresql
def test_a_real_serialization_failure(clock, advance):
    Group.objects.create(name="row")
    runs = []

    def change(name):
        Group.objects.update(name=name)

    @mutation(name="test.transient.serialization")
    def body() -> int:
        runs.append(1)
        with connection.cursor() as cursor:
            if len(runs) == 1:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM auth_group")
        if len(runs) == 1:
            Elsewhere(lambda: change("other")).result()
        change("mine")
        return len(runs)

    job = scheduler.now(body)
    advance(60)
    job.refresh_from_db()
    assert (job.state, job.result, job.attempt) == (State.SUCCESS, 2, 1)
    assert Group.objects.get().name == "mine"


@committing
@postgresql
def test_a_connection_that_is_cut_in_a_mutation(clock, advance):
    runs = []

    @mutation(name="test.transient.cut")
    def body() -> int:
        runs.append(1)
        Group.objects.create(name=f"run {len(runs)}")
        if len(runs) == 1:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                (pid,) = cursor.fetchone()

            def cut():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s)", [pid])

            Elsewhere(cut).result()
            Group.objects.count()
        return len(runs)

    job = scheduler.now(body)
    advance(60)
    job.refresh_from_db()
    assert (job.state, job.result, job.attempt) == (State.SUCCESS, 2, 1)
    assert [group.name for group in Group.objects.all()] == ["run 2"]


@committing
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has many writers")
def test_a_real_busy_database():
    """Another holds SQLite's one lock for longer than we wait: the mutation's transaction does not even begin."""
    host = rescue.register(1, os.getpid())
    job = scheduler.now(work.write, {"name": "x"})
    claims = take(host)
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            held.set()
            let_go.wait(10)

    other = Elsewhere(hold)
    held.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 20")
    executor.execute(claims)
    connection.close()
    let_go.set()
    other.result()
    assert not Group.objects.exists()
    rescue.orphans(host.pk, Slots(1), set())
    assert [(one.id, one.state, one.attempt) for one in testing.drain()] == [(job.id, State.SUCCESS, 1)]
