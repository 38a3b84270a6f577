"""Keys and their modes, expiry, and the verbs on many jobs."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from scheduling import action, context, mutation, pools, scheduler, testing
from scheduling.cluster import rescue, transitions
from scheduling.exceptions import InvalidOption, NotFound
from scheduling.models import Job, PastAttempt, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import Elsewhere, blocked

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")


def add(a=1, **options):
    return scheduler.now(work.add, {"a": a}, **{"key": "k"} | options)


class TestKeep:
    def test_a_second_call_gives_back_the_first_job(self):
        first, second = add(1), add(2)
        assert (first.created, second.created) == (True, False)
        assert (second.pk, second.args) == (first.pk, {"a": 1})

    def test_a_finished_job_is_given_back_too(self):
        first = add()
        testing.drain()
        assert add().pk == first.pk

    def test_once_its_record_is_gone_the_key_is_free(self, clock):
        first = add()
        testing.drain()
        clock.jump(100)
        assert scheduler.cleanup(60) == 1
        assert add().pk != first.pk

    def test_keys_are_of_a_function(self):
        assert scheduler.now(work.noop, key="k").pk != add().pk

    def test_bulk_takes_keys_too(self):
        calls = [scheduler.Call(work.add, {"a": n}, key="k" if n % 2 else None) for n in range(4)]
        jobs = scheduler.bulk(calls)
        assert [job.created for job in jobs] == [True, True, True, False]
        assert jobs[1].pk == jobs[3].pk
        assert [job.args["a"] for job in jobs] == [0, 1, 2, 1]
        assert [job.pk for job in testing.drain()] == [job.pk for job in jobs[:3]]


class TestReplace:
    def test_a_pending_job_takes_the_new_arguments_time_and_options(self, clock):
        first = scheduler.run_after(3600, work.add, {"a": 1}, key="k")
        second = add(2, key_mode="replace", priority=5, retry=True)
        assert (second.pk, second.created) == (first.pk, False)
        assert (second.args["a"], second.run_at, second.priority) == (2, clock.now(), 5)
        assert [job.result for job in testing.drain()] == [3]

    def test_it_takes_the_new_expiry_too(self, clock):
        add(expires=10)
        add(key_mode="replace", expires=30)
        clock.jump(20)
        assert scheduler.get(add(key_mode="replace").pk).expires_at is None
        at = clock.now() + timedelta(seconds=60)
        assert scheduler.get(add(key_mode="replace", expires=at).pk).expires_at == at
        assert [job.state for job in testing.drain()] == [State.SUCCESS]

    def test_one_that_runs_is_left_alone(self):
        first = add()
        take(rescue.register(1, os.getpid()))
        second = add(2, key_mode="replace")
        assert second.created
        assert (scheduler.status(first.pk), scheduler.get(first.pk).args["a"]) == (State.IN_PROGRESS, 1)

    def test_one_that_has_been_attempted_is_left_alone(self, clock):
        first = scheduler.now(work.flaky, {"until": 2}, key="k")
        testing.drain()
        second = scheduler.now(work.flaky, {"until": 1}, key="k", key_mode="replace")
        assert second.created
        assert second.pk != first.pk

    def test_a_finished_one_gives_its_key_away_and_keeps_its_record(self):
        first = add()
        testing.drain()
        second = add(2, key_mode="replace")
        assert second.created
        assert list(Job.objects.filter(key="k").order_by("pk").values_list("pk", "holds_key")) == [
            (first.pk, False),
            (second.pk, True),
        ]


class TestDebounce:
    def test_each_call_puts_it_off_until_max_wait_after_the_first(self, clock):
        began = clock.now()
        for second in range(5):
            job = scheduler.run_after(
                2, work.add, {"a": second}, key="k", key_mode="debounce", max_wait=timedelta(seconds=5)
            )
            assert job.run_at == min(clock.now() + timedelta(seconds=2), began + timedelta(seconds=5))
            clock.jump(1)
        assert [job.result for job in testing.drain()] == [5]
        assert Job.objects.count() == 1

    def test_the_first_call_is_not_put_off_for_longer_either(self, clock):
        latest = clock.now() + timedelta(seconds=5)
        options = {"key_mode": "debounce", "max_wait": 5}
        assert scheduler.run_after(60, work.add, {"a": 1}, key="k", **options).run_at == latest
        assert (
            scheduler.run_at(clock.now() + timedelta(hours=1), work.add, {"a": 1}, key="at", **options).run_at == latest
        )
        assert scheduler.run_after(2, work.add, {"a": 1}, key="soon", **options).run_at < latest

    def test_without_a_max_wait_it_is_put_off_for_as_long_as_there_are_calls(self, clock):
        for _ in range(50):
            job = scheduler.run_after(10, work.add, {"a": 1}, key="k", key_mode="debounce")
            assert job.run_at == clock.now() + timedelta(seconds=10)
            clock.jump(9)

    def test_one_that_has_ended_makes_room_for_a_new_one(self, clock):
        first = add(key_mode="debounce", max_wait=5)
        testing.drain()
        assert add(key_mode="debounce", max_wait=5).pk != first.pk


class TestThrottle:
    def test_one_job_a_window_finished_or_not(self, clock):
        first = add(1, key_mode="throttle", window=10)
        testing.drain()
        clock.jump(9.9)
        assert add(2, key_mode="throttle", window=10).pk == first.pk
        clock.jump(0.2)
        assert add(3, key_mode="throttle", window=10).created


class TestKeepLast:
    @pytest.fixture
    def running(self, clock):
        """A run between two attempts: it has begun, and has not ended."""
        job = scheduler.now(work.flaky, {"until": 2}, key="k", key_mode="keep_last")
        testing.drain()
        assert scheduler.get(job.pk).attempt == 1
        return job

    def wait(self, until):
        return scheduler.now(work.flaky, {"until": until}, key="k", key_mode="keep_last")

    def test_one_waits_with_the_newest_arguments_until_the_running_one_has_ended(self, clock, running):
        waiting, newer = self.wait(0), self.wait(1)
        assert (waiting.created, newer.created) == (True, False)
        assert newer.pk == waiting.pk
        assert testing.drain() == []
        testing.advance(60)
        assert [job.state for job in Job.objects.order_by("pk")] == [State.SUCCESS] * 2
        assert scheduler.get(waiting.pk).started_at >= scheduler.get(running.pk).finished_at
        assert scheduler.get(waiting.pk).args == {"until": 1}

    def test_it_also_starts_when_the_running_one_is_canceled(self, clock, running):
        waiting = self.wait(1)
        scheduler.cancel(running)
        assert [job.pk for job in testing.drain()] == [waiting.pk]

    def test_where_the_one_that_waited_is_canceled_the_next_waits_in_its_place(self, clock, running):
        for _ in range(2):
            scheduler.cancel(self.wait(1))
            waiting = self.wait(1)
            assert waiting.created
            assert testing.drain() == []
        testing.advance(60)
        assert scheduler.get(waiting.pk).started_at >= scheduler.get(running.pk).finished_at

    def test_one_that_is_pending_still_takes_the_newest_arguments_itself(self):
        first, second = self.wait(5), self.wait(1)
        assert (second.pk, second.args) == (first.pk, {"until": 1})

    @postgresql
    @committing
    @pytest.mark.parametrize("waited", [False, True])
    def test_the_next_is_not_left_behind_where_the_running_one_ends_at_the_same_time(self, waited):
        scheduler.now(work.noop, key="k", key_mode="keep_last")
        (claim,) = take(rescue.register(1, os.getpid()))
        if waited:
            scheduler.cancel(scheduler.now(work.noop, key="k", key_mode="keep_last"))
        with transaction.atomic():
            transitions.finish(claim, "1", transitions.Trace())
            other = Elsewhere(lambda: scheduler.now(work.noop, key="k", key_mode="keep_last"))
            until(blocked, 10)
        waiting = other.result()
        assert [job.pk for job in testing.drain()] == [waiting.pk]


@pytest.mark.parametrize(
    "options",
    [
        {"key": ""},
        {"key": "x" * 201},
        {"key": 3},
        {"key": "k", "key_mode": "newest"},
        {"key": "k", "key_mode": "throttle"},
        {"key": "k", "window": 3},
        {"key": "k", "max_wait": 3},
        {"key": None, "key_mode": "replace"},
        {"expires": -1},
        {"expires": float("nan")},
        {"expires": 5, "run_after": 10},
    ],
)
def test_nonsense_is_refused_and_nothing_is_scheduled(options):
    with pytest.raises(InvalidOption):
        scheduler.bulk([scheduler.Call(work.add, {"a": 1}, **options)])
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_calls_at_once_one_makes_the_job():
    made, errors = [], []

    def call(n):
        try:
            made.append(add(n))
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Job.objects.count() == 1
    assert sum(job.created for job in made) == 1


class TestExpiry:
    def test_a_job_that_has_not_begun_by_then_is_canceled(self, clock):
        late = scheduler.now(work.add, {"a": 1}, expires=10, on_complete=work.noted)
        clock.jump(10)
        ran = testing.drain()
        late.refresh_from_db()
        assert (late.state, late.error, late.attempt) == (State.CANCELED, "expired", 0)
        assert [job.name for job in ran] == ["work.noted"]

    def test_it_is_not_claimed_either_before_it_is_swept_up(self, clock):
        host = rescue.register(1, os.getpid())
        scheduler.now(work.noop, expires=10)
        clock.jump(10)
        assert take(host) == []

    def test_one_that_began_in_time_is_not(self, clock):
        job = scheduler.now(work.flaky, {"until": 2}, expires=clock.now() + timedelta(seconds=0.5))
        testing.drain()
        testing.advance(60)
        assert scheduler.status(job.pk) == State.SUCCESS


class TestMany:
    def test_cancel_all_takes_a_filter_and_spares_what_comes_after(self):
        wanted = scheduler.bulk([scheduler.Call(work.add, {"a": n}) for n in range(3)])
        other = scheduler.now(work.noop)
        with pytest.raises(InvalidOption):
            scheduler.cancel_all()
        assert scheduler.cancel_all(work.add) == 3
        assert {scheduler.status(job.pk) for job in wanted} == {State.CANCELED}
        assert scheduler.cancel_all(state="pending") == 1
        assert scheduler.status(other.pk) == State.CANCELED
        assert scheduler.cancel_all(everything=True) == 0

    def test_cancel_all_spares_what_is_scheduled_after_it_began(self, monkeypatch):
        monkeypatch.setattr(scheduler, "BATCH", 2)
        scheduler.bulk([scheduler.Call(work.add, {"a": n}, on_complete=work.told) for n in range(5)])
        assert scheduler.cancel_all(everything=True) == 5
        assert [job.name for job in testing.drain()] == ["work.told"] * 5

    def test_cancel_all_of_a_pool_whatever_the_value_of_its_key(self):
        pools.define("one", key="n")
        pools.define("ONE", key="n")
        pools.define("one.more")
        wanted = scheduler.bulk([scheduler.Call(work.noop, {"n": n}, pool="one") for n in range(3)])
        others = [scheduler.now(work.noop, pool=name) for name in ("ONE", "one.more", "")]
        assert scheduler.cancel_all(pool="one") == 3
        assert {scheduler.status(job.pk) for job in wanted} == {State.CANCELED}
        assert {scheduler.status(job.pk) for job in others} == {State.PENDING}
        assert scheduler.cancel_all(pool="one.more") == 1
        with pytest.raises(NotFound, match="no pool is named 'two'"):
            scheduler.cancel_all(pool="two")

    def test_cancel_all_by_key_and_by_cron(self):
        keyed, other = add(), add(key="other")
        assert (scheduler.cancel_all(cron="c"), scheduler.cancel_all(key="k")) == (0, 1)
        assert [scheduler.status(job.pk) for job in (keyed, other)] == [State.CANCELED, State.PENDING]

    @pytest.mark.parametrize("state", ["tired", "", 5])
    def test_cancel_all_refuses_a_state_that_there_is_not(self, state):
        add()
        with pytest.raises(InvalidOption, match="state is one of"):
            scheduler.cancel_all(state=state)

    @postgresql
    @committing
    def test_cancel_all_of_the_pending_spares_one_that_is_claimed_meanwhile(self):
        job = scheduler.now(work.noop)
        host = rescue.register(1, os.getpid())
        with transaction.atomic():
            take(host)
            other = Elsewhere(lambda: scheduler.cancel_all(state="pending"))
            until(blocked, 10)
        assert other.result() == 0
        assert scheduler.status(job.pk) == State.IN_PROGRESS

    def test_cancel_all_goes_through_more_than_one_batch(self, monkeypatch):
        monkeypatch.setattr(scheduler, "BATCH", 2)
        scheduler.bulk([scheduler.Call(work.add, {"a": n}, on_complete=work.noted) for n in range(5)])
        assert scheduler.cancel_all(work.add) == 5
        assert [job.name for job in testing.drain()] == ["work.noted"] * 5

    def test_reschedule_moves_a_pending_job_only(self, clock):
        job = scheduler.run_after(100, work.add, {"a": 1})
        assert scheduler.reschedule(job, clock.now()) is True
        assert len(testing.drain()) == 1
        assert scheduler.reschedule(job, clock.now()) is False

    @pytest.mark.parametrize("when", [None, 60, "2026-01-01"])
    def test_reschedule_takes_an_aware_time(self, when):
        job = add()
        with pytest.raises(InvalidOption, match="aware datetime"):
            scheduler.reschedule(job, when)
        assert scheduler.get(job.pk).run_at == job.run_at

    def test_cleanup_removes_old_finished_jobs_with_their_attempts(self, clock, monkeypatch):
        monkeypatch.setattr(scheduler, "BATCH", 2)
        scheduler.now(work.flaky, {"until": 3})
        testing.advance(60)
        scheduler.bulk([scheduler.Call(work.add, {"a": n}) for n in range(5)])
        testing.drain()
        clock.jump(3600)
        fresh, waiting = scheduler.now(work.noop), scheduler.run_after(60, work.noop)
        testing.drain()
        assert PastAttempt.objects.count() == 2
        assert scheduler.cleanup(60, fn=work.flaky) == 1
        assert scheduler.cleanup(60, states=["failed"]) == 0
        assert scheduler.cleanup(timedelta(minutes=1)) == 5
        assert set(Job.objects.values_list("pk", flat=True)) == {fresh.pk, waiting.pk}
        assert not PastAttempt.objects.exists()

    def test_cleanup_takes_a_thousand_in_a_transaction(self, clock):
        scheduler.bulk([scheduler.Call(work.noop) for _ in range(1001)])
        scheduler.cancel_all(everything=True)
        clock.jump(60)
        with CaptureQueriesContext(connection) as queries:
            assert scheduler.cleanup(30) == 1001
        removing = [q["sql"] for q in queries if q["sql"].startswith('DELETE FROM "scheduling_job"')]
        assert [sql.count(",") for sql in removing] == [999, 0]

    @pytest.mark.parametrize("wrong", [{"states": ["pending"]}, {"states": "failed"}, {"older_than": -1}])
    def test_cleanup_refuses_nonsense_and_leaves_what_is_pending_for_ever(self, clock, wrong):
        job = add()
        clock.jump(10**9)
        with pytest.raises(InvalidOption):
            scheduler.cleanup(**{"older_than": 0} | wrong)
        assert scheduler.cleanup(0) == 0
        assert scheduler.status(job.pk) == State.PENDING


class TestWhatARunningFunctionSchedules:
    def test_at_most_a_thousand_calls(self):
        job = scheduler.now(work.schedules, {"calls": 1000})
        too_many = scheduler.now(work.schedules, {"calls": 1001})
        testing.drain()
        assert scheduler.status(job.pk) == State.SUCCESS
        assert "may 1,000" in scheduler.get(too_many.pk).error
        assert Job.objects.filter(name="work.noop").count() == 1000

    def test_at_most_eight_mebibytes_of_arguments(self):
        @mutation(name="test.schedules_much")
        def body(size: int) -> None:
            for _ in range(2):
                scheduler.now(work.once, {"file": "x" * size})

        fits = scheduler.now(body, {"size": (4 << 20) - 100})
        too_much = scheduler.now(body, {"size": 4 << 20})
        testing.drain()
        assert scheduler.status(fits.pk) == State.SUCCESS
        assert "and 8,388,608" in scheduler.get(too_much.pk).error
        assert Job.objects.filter(parent=too_much).count() == 0

    def test_what_an_action_schedules_stays_though_it_fails(self):
        @action(name="test.schedules_and_fails")
        def body() -> None:
            scheduler.now(work.noop)
            raise ValueError("afterwards")

        job = scheduler.now(body)
        testing.drain()
        assert scheduler.status(job.pk) == State.FAILED
        assert [child.state for child in Job.objects.filter(parent=job)] == [State.SUCCESS]

    def test_its_jobs_point_to_it(self):
        job = scheduler.now(work.schedules, {"calls": 2})
        testing.drain()
        assert set(Job.objects.filter(name="work.noop").values_list("parent", flat=True)) == {job.pk}

    def test_what_a_canceled_action_schedules_is_stored_as_canceled(self):
        job = scheduler.now(work.cancels_itself_and_schedules)
        testing.drain()
        assert scheduler.status(job.pk) == State.CANCELED
        children = Job.objects.filter(parent=job).order_by("pk")
        assert [child.state for child in children] == [State.SUCCESS, State.CANCELED]


def test_outside_of_a_function_nothing_is_counted():
    scheduler.bulk([scheduler.Call(work.noop) for _ in range(1001)])
    assert Job.objects.count() == 1001


@pytest.mark.parametrize("mode", ["keep", "replace", "keep_last"])
def test_what_a_canceled_job_schedules_leaves_a_key_and_its_holder_alone(drain, mode):
    @action(name=f"keys.canceled.{mode}")
    def cancels_itself() -> None:
        scheduler.cancel(context.job_id, interrupt=False)
        scheduler.now(work.add, {"a": 2}, key="k", key_mode=mode)

    holder = scheduler.run_after(3600, work.add, {"a": 1}, key="k")
    scheduler.now(cancels_itself)
    drain()
    (canceled,) = Job.objects.filter(name="work.add").exclude(pk=holder.id)
    assert (canceled.state, canceled.holds_key) == ("canceled", False)
    holder = scheduler.get(holder.id)
    assert (holder.state, holder.holds_key, holder.args) == ("pending", True, {"a": 1})
