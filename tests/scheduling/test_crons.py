"""Crons: declared, registered, synced, steered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django_q.models import Schedule

from scheduling import Crons, Retry, action, crons, mutation, scheduler, testing
from scheduling.cluster import cancels, ticker, transitions
from scheduling.exceptions import AlreadyExists, InvalidArguments, InvalidOption, InvalidSchedule, NotFound
from scheduling.models import Cron, Job, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.second import Elsewhere, blocked, elsewhere
from tests.scheduling.test_executor import taken

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def clock():
    with testing.clock(START, crons=["a", "b"]) as clock:
        yield clock


def names():
    return [cron.key for cron in crons.list() if cron.key in "abc"]


def synced(**options):
    """What a sync did to the crons of this test."""
    done = crons.sync(**options)
    return tuple([name for name in names if name in "abc"] for names in (done.added, done.changed, done.retired))


# Declaring


@pytest.mark.parametrize(
    ("declare", "spec"),
    [
        (lambda c: c.interval("a", 90, work.noop), "90"),
        (lambda c: c.interval("a", timedelta(days=20), work.noop), "1728000"),
        (lambda c: c.interval("a", every=1.5, fn=work.noop), "1.5"),
        (lambda c: c.cron("a", "*/5  * * * *", work.noop), "*/5 * * * *"),
        (lambda c: c.hourly("a", work.noop), "0 * * * *"),
        (lambda c: c.hourly("a", 15, work.noop), "15 * * * *"),
        (lambda c: c.hourly("a", minute=15, fn=work.noop), "15 * * * *"),
        (lambda c: c.hourly("a", work.noop, {"n": 1}, minute=15), "15 * * * *"),
        (lambda c: c.daily("a", 2, 30, work.noop), "30 2 * * *"),
        (lambda c: c.daily("a", hour=2, minute=0, fn="work.noop"), "0 2 * * *"),
        (lambda c: c.weekly("a", "monday", 2, 30, work.noop), "30 2 * * 1"),
        (lambda c: c.weekly("a", "Sun", 2, 30, work.noop), "30 2 * * 0"),
        (lambda c: c.weekly("a", 0, 2, 30, work.noop), "30 2 * * 1"),
        (lambda c: c.weekly("a", 6, 2, 30, work.noop), "30 2 * * 0"),
        (lambda c: c.monthly("a", 31, 2, 30, work.noop), "30 2 31 * *"),
    ],
)
def test_each_way_to_declare(declare, spec):
    made = Crons()
    declare(made)
    assert made.declared["a"].spec == spec
    assert made.declared["a"].function == "work.noop"


@pytest.mark.parametrize(
    ("declare", "error"),
    [
        (lambda c: c.interval("a", 0.5, work.noop), InvalidSchedule),
        (lambda c: c.interval("a", "* * * * *", work.noop), InvalidSchedule),
        (lambda c: c.interval("a", True, work.noop), InvalidSchedule),
        (lambda c: c.cron("a", "* * * * * *", work.noop), InvalidSchedule),
        (lambda c: c.cron("a", 60, work.noop), InvalidSchedule),
        (lambda c: c.cron("a", "* * * * *", work.noop, timezone="Mars"), InvalidSchedule),
        (lambda c: c.hourly("a", work.noop, minute=60), InvalidSchedule),
        (lambda c: c.daily("a", 24, 0, work.noop), InvalidSchedule),
        (lambda c: c.weekly("a", "someday", 1, 1, work.noop), InvalidSchedule),
        (lambda c: c.weekly("a", 7, 1, 1, work.noop), InvalidSchedule),
        (lambda c: c.monthly("a", 32, 1, 1, work.noop), InvalidSchedule),
        (lambda c: c.interval("a", 60, "work.nothing"), NotFound),
        (lambda c: c.interval("a", 60, work.count), InvalidOption),
        (lambda c: c.interval("a", 60, work.add), InvalidArguments),
        (lambda c: c.interval("a", 60, work.noop, {"m": 1}), InvalidArguments),
        (lambda c: c.interval("a", 60, work.noop, overlap="maybe"), InvalidOption),
        (lambda c: c.interval("a", 60, work.noop, catch_up="some"), InvalidOption),
        (lambda c: c.interval("a", 60, work.noop, priority=101), InvalidOption),
        (lambda c: c.interval("a", 60, work.noop, retry="x"), InvalidOption),
        (lambda c: c.interval("a", 60, work.noop, colour=1), InvalidOption),
        (lambda c: c.interval("", 60, work.noop), InvalidOption),
        (lambda c: c.interval("a" * 101, 60, work.noop), InvalidOption),
        (lambda c: c.interval("a\0", 60, work.noop), InvalidOption),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_said(declare, error):
    with pytest.raises(error):
        declare(Crons())


def test_one_name_twice_is_an_error(app):
    app.interval("a", 60, work.noop)
    with pytest.raises(AlreadyExists, match="two crons are named 'a'"):
        app.hourly("a", work.noop)


def test_a_name_of_two_apps_is_an_error_of_the_sync(app):
    from markets.crons import crons as markets

    app.interval(next(iter(markets.declared)), 60, work.noop)
    with pytest.raises(AlreadyExists, match="two crons are named"):
        crons.sync()


# Registering


def test_registered_at_run_time_the_first_run_is_after_one_interval(clock, advance):
    cron = crons.register("c", 60, work.noop, {"n": "4"}, description="says")
    assert (cron.key, cron.arguments, cron.declared, cron.description) == ("c", {"n": 4}, None, "says")
    assert cron.next_tick_at == START + timedelta(seconds=60)
    assert crons.get("c") == cron
    assert len(advance(59)) == 0
    assert len(advance(1)) == 1


def test_a_registered_cron_expression_runs_at_its_next_time(clock):
    assert crons.register("c", "*/5 * * * *", work.noop).next_tick_at == START.replace(minute=5, second=0)
    berlin = crons.register("b", "0 16 * * *", work.noop, timezone="Europe/Berlin")
    assert berlin.next_tick_at == START.replace(hour=14, second=0)


def test_a_cron_is_there_if_and_only_if_its_transaction_commits():
    with transaction.atomic():
        crons.register("c", 60, work.noop)
        transaction.set_rollback(True)
    assert names() == []
    with transaction.atomic():
        crons.register("c", 60, work.noop)
    assert names() == ["c"]


def test_register_refuses_a_name_that_is_there():
    crons.register("c", 60, work.noop)
    with pytest.raises(AlreadyExists):
        crons.register("c", 90, work.noop)
    assert crons.get("c").spec == "60"


@pytest.mark.django_db(transaction=True)
def test_of_two_that_register_one_name_at_once_the_second_is_told():
    with transaction.atomic():
        crons.register("c", 60, work.noop)
        second = Elsewhere(lambda: crons.register("c", 90, work.noop))
        if connection.vendor == "postgresql":
            until(blocked, 10)
    with pytest.raises(AlreadyExists):
        second.result()
    assert crons.get("c").spec == "60"


@pytest.mark.parametrize("schedule", ["* * * *", 0.1, None, True, [60], "every day"])
def test_register_refuses_what_is_no_schedule(schedule):
    with pytest.raises(InvalidSchedule):
        crons.register("c", schedule, work.noop)
    assert not Cron.objects.exists()


def test_unknown_names():
    for verb in (crons.get, crons.delete, crons.pause, crons.resume, crons.run_now, crons.reset, crons.edit):
        for name in ("nothing", "a\0", None, 5):
            with pytest.raises(NotFound, match="no cron is named"):
                verb(name)


def test_list_is_by_name():
    for name in "cab":
        crons.register(name, 60, work.noop)
    assert names() == ["a", "b", "c"]


# Syncing


def test_a_declared_interval_runs_at_once_when_it_is_first_written(clock, app, drain):
    app.interval("a", 60, work.noop)
    app.cron("b", "*/5 * * * *", work.noop)
    assert synced() == (["a", "b"], [], [])
    assert [job.cron for job in drain()] == ["a"]
    assert crons.get("a").next_tick_at == START + timedelta(seconds=60)
    assert synced() == ([], [], [])
    assert drain() == []


def test_what_the_code_changes_is_followed(clock, app):
    app.interval("a", 60, work.noop, description="one")
    synced()
    app.declared.clear()
    app.interval("a", 90, work.add, {"a": 1}, description="two", retry=Retry(base=3))
    assert synced() == ([], ["a"], [])
    cron = crons.get("a")
    assert (cron.spec, cron.function, cron.arguments, cron.description) == ("90", "work.add", {"a": 1}, "two")
    assert cron.retry["base"] == 3
    assert cron.next_tick_at == START + timedelta(seconds=90)
    assert synced() == ([], [], [])


def test_what_vanished_is_retired_and_what_comes_back_is_restored(clock, app, advance):
    app.interval("a", 60, work.noop)
    synced()
    was = app.declared.pop("a")
    assert synced() == ([], [], ["a"])
    assert names() == []
    assert advance(600) == []
    app.declared["a"] = was
    assert synced() == ([], ["a"], [])
    assert names() == ["a"]
    assert len(advance(60)) == 1


def test_a_run_that_is_there_when_its_cron_is_retired_still_runs(clock, app, drain):
    app.interval("a", 60, work.noop)
    synced()
    assert ticker.tick() == 1
    app.declared.clear()
    assert synced() == ([], [], ["a"])
    assert [job.state for job in drain()] == [State.SUCCESS]


def test_what_comes_back_has_missed_nothing_though_its_pause_has_ended_meanwhile(clock, app, advance):
    app.interval("a", 60, work.noop)
    synced()
    crons.pause("a", "why", START + timedelta(seconds=90))
    was = app.declared.pop("a")
    synced()
    advance(600)
    app.declared["a"] = was
    synced()
    assert not crons.get("a").paused
    assert advance(0) == []
    assert len(advance(60)) == 1


def test_registered_crons_are_never_retired(clock, app):
    crons.register("c", 60, work.noop)
    assert synced() == ([], [], [])
    assert names() == ["c"]


def test_what_an_operator_changed_is_kept_until_it_is_reset(clock, app):
    app.interval("a", 60, work.noop, description="one")
    synced()
    Cron.objects.filter(key="a").update(spec="30", overlap="allow")
    app.declared.clear()
    app.interval("a", 90, work.noop, description="two")
    synced()
    cron = crons.get("a")
    assert (cron.spec, cron.overlap, cron.description) == ("30", "allow", "two")
    crons.reset("a")
    cron = crons.get("a")
    assert (cron.spec, cron.overlap, cron.description) == ("90", "skip", "two")


def test_a_pause_outlives_a_sync_and_ends_with_a_reset(clock, app, advance):
    app.interval("a", 60, work.noop)
    synced()
    advance(0)
    crons.pause("a", "why not")
    app.declared.clear()
    app.interval("a", 60, work.noop, description="changed")
    synced()
    assert crons.get("a").paused
    advance(600)
    crons.reset("a")
    cron = crons.get("a")
    assert (cron.paused, cron.paused_reason, cron.paused_at) == (False, "", None)
    assert cron.next_tick_at == START + timedelta(seconds=660)


def test_a_cron_that_the_code_unpauses_leaves_no_late_run(clock, app, advance):
    app.interval("a", 60, work.noop, paused=True)
    synced()
    advance(600)
    app.declared.clear()
    app.interval("a", 60, work.noop)
    synced()
    assert advance(0) == []
    assert len(advance(60)) == 1


def test_reset_of_a_registered_cron_is_refused():
    crons.register("c", 60, work.noop)
    with pytest.raises(InvalidOption, match="made at run time"):
        crons.reset("c")


def test_only_add_touches_nothing_that_is_there(clock, app):
    app.interval("a", 60, work.noop)
    synced()
    app.declared.clear()
    app.interval("b", 60, work.noop)
    assert synced(only_add=True) == (["b"], [], [])
    assert names() == ["a", "b"]


def test_a_starting_cluster_adds_what_is_missing(clock, app):
    from scheduling.management.commands import qcluster

    crons.register("c", 60, work.noop)
    app.interval("a", 60, work.noop)
    qcluster._add_missing_crons()
    assert names() == ["a", "c"]


def test_a_registered_name_that_is_declared_later_is_taken_over(clock, app):
    crons.register("a", 60, work.noop, overlap="allow")
    app.interval("a", 90, work.noop)
    assert synced() == ([], ["a"], [])
    assert crons.get("a").declared["spec"] == "90"
    assert synced() == ([], [], [])


# Steering


def test_run_now_ignores_pause_and_obeys_overlap(clock, drain):
    crons.register("c", 60, work.noop, {"n": 1}, priority=4)
    crons.pause("c", "maintenance")
    job = crons.run_now("c")
    assert (job.cron, job.args, job.priority, job.scheduled_for) == ("c", {"n": 1}, 4, None)
    assert crons.run_now("c") is None
    assert drain() == [job]
    assert crons.run_now("c", {"n": 2}).args == {"n": 2}
    assert crons.get("c").paused_reason == "maintenance"


@pytest.mark.parametrize(("overlap", "most"), [("skip", 1), ("queue", 2), ("allow", 4)])
def test_run_now_by_overlap(overlap, most):
    crons.register("c", 60, work.noop, overlap=overlap)
    assert [bool(crons.run_now("c")) for _ in range(4)].count(True) == most


@pytest.mark.django_db(transaction=True)
def test_of_two_that_run_a_cron_at_once_one_does():
    crons.register("c", 60, work.noop)
    with transaction.atomic():
        assert crons.run_now("c")
        second = Elsewhere(lambda: crons.run_now("c"))
        if connection.vendor == "postgresql":
            until(blocked, 10)
    assert second.result() is None
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_on_one_host_keeps_every_other_host_from_making_a_second():
    crons.register("c", 60, work.noop)
    now = testing.clock.now()
    Cron.objects.update(next_tick_at=now, anchor=now)
    assert elsewhere(ticker.tick) == 1
    taken(Job.objects.get())
    Cron.objects.update(next_tick_at=now - timedelta(seconds=3))
    assert elsewhere(ticker.tick) == 1
    assert crons.run_now("c") is None
    assert sorted(Job.objects.values_list("state", flat=True)) == [State.IN_PROGRESS, State.SKIPPED]


def test_run_now_refuses_wrong_arguments():
    crons.register("c", 60, work.noop)
    with pytest.raises(InvalidArguments, match="m: Extra inputs"):
        crons.run_now("c", {"m": 1})
    assert not Job.objects.exists()


def test_run_now_in_a_function_counts_as_a_call_and_is_its_child(clock):
    crons.register("c", 60, work.noop)

    @mutation(name="test.runs_a_cron")
    def body() -> None:
        crons.run_now("c")

    parent = scheduler.now(body)
    testing.drain()
    assert Job.objects.get(cron="c").parent_id == parent.pk


def test_a_run_by_hand_counts_as_unfinished_for_the_ticks(clock):
    crons.register("c", 60, work.noop)
    crons.run_now("c")
    clock.jump(60)
    testing.drain()
    assert list(Job.objects.order_by("id").values_list("state", flat=True)) == [State.SUCCESS, State.SKIPPED]


def test_resume_of_a_row_that_is_still_broken_says_so(clock, advance):
    crons.register("c", 60, work.noop)
    Cron.objects.update(spec="nonsense")
    advance(60)
    with pytest.raises(InvalidSchedule):
        crons.resume("c")
    assert crons.get("c").broken


def test_resume_of_a_cron_that_ticks_leaves_a_tick_that_is_due_alone(clock, advance):
    crons.register("c", 60, work.noop)
    clock.jump(60)
    crons.resume("c")
    assert len(advance(0)) == 1


def test_resume_of_an_interval_goes_on_in_its_old_steps(clock):
    crons.register("c", 60, work.noop)
    crons.pause("c", "why")
    clock.jump(90)
    crons.resume("c")
    cron = crons.get("c")
    assert (cron.paused, cron.paused_reason, cron.paused_at, cron.paused_until) == (False, "", None, None)
    assert cron.next_tick_at == START + timedelta(seconds=120)


@pytest.mark.parametrize(
    ("catch_up", "ran", "skipped"), [("once", [1], [(2, 4)]), ("all", [1, 2, 3, 4, 5], []), ("none", [], [(1, 5)])]
)
@pytest.mark.parametrize("schedule", [60, "* * * * *"])
def test_resume_with_run_missed_goes_by_the_catch_up_rule(clock, drain, schedule, catch_up, ran, skipped):
    clock.jump(30)  # to a full minute, where both kinds tick
    start = clock.now()
    crons.register("c", schedule, work.noop, catch_up=catch_up)
    crons.pause("c", "why")
    clock.jump(60 * 5 + 30)
    crons.resume("c", run_missed=True)
    drain()
    jobs = Job.objects.order_by("scheduled_for")
    minute = timedelta(minutes=1)
    assert [(job.scheduled_for - start) / minute for job in jobs.exclude(state=State.SKIPPED)] == ran
    records = jobs.filter(state=State.SKIPPED)
    assert [((job.scheduled_for - start) / minute, job.result["ticks"]) for job in records] == skipped


def test_resume_with_run_missed_of_a_row_without_a_next_tick(clock):
    crons.register("c", 60, work.noop)
    Cron.objects.update(broken="why", next_tick_at=None)
    crons.resume("c", run_missed=True)
    assert (crons.get("c").broken, crons.get("c").next_tick_at) == ("", START + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("until", "says"),
    [
        (timedelta(0), "a pause ends in the future"),
        (-timedelta(seconds=1), "a pause ends in the future"),
        (timedelta(days=3700), "within 10 years"),
    ],
)
def test_a_pause_ends_in_the_future(clock, until, says):
    crons.register("c", 60, work.noop)
    with pytest.raises(InvalidOption, match=says):
        crons.pause("c", "why", START + until)
    assert not crons.get("c").paused


def test_what_a_pause_is_told_is_checked(clock):
    crons.register("c", 60, work.noop)
    for wrong in (("why", datetime(2027, 1, 1)), ("why", "soon"), ("a\0", None), (None, None)):  # noqa: DTZ001
        with pytest.raises(InvalidOption):
            crons.pause("c", *wrong)
    crons.pause("c", "x" * 300)
    assert len(crons.get("c").paused_reason) == 200


def test_a_pause_is_one_statement_and_a_second_one_takes_its_place(clock, django_assert_num_queries):
    crons.register("c", 60, work.noop)
    crons.pause("c", "one", START + timedelta(hours=1))
    clock.jump(5)
    with django_assert_num_queries(1):
        crons.pause("c", "two")
    cron = crons.get("c")
    assert (cron.paused_reason, cron.paused_at, cron.paused_until) == ("two", START + timedelta(seconds=5), None)


# Deleting


def test_delete_cancels_what_is_pending_and_lets_a_running_one_end(clock):
    crons.register("c", 60, work.noop, overlap="allow")
    running, waiting = crons.run_now("c"), crons.run_now("c")
    claim = taken(running)
    crons.delete("c")
    assert (scheduler.status(running.id), scheduler.status(waiting.id)) == (State.IN_PROGRESS, State.CANCELED)
    assert cancels.interrupted([running.pk]) == []
    assert transitions.finish(claim, "4", transitions.Trace())
    assert (scheduler.get(running.id).state, scheduler.get(running.id).result) == (State.SUCCESS, 4)
    assert not Cron.objects.exists()
    assert not Schedule.objects.filter(name="c").exists()
    assert Job.objects.filter(cron="c").count() == 2


def test_delete_cancels_a_run_that_waits_for_its_next_attempt(clock, drain):
    crons.register("c", 3600, work.flaky)
    run = crons.run_now("c")
    drain()
    crons.delete("c")
    assert scheduler.status(run.id) == State.CANCELED


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_delete_lets_a_run_in_a_real_cluster_end(cluster, tmp_path):
    file = str(tmp_path / "ledger")
    crons.register("c", 3600, work.once, {"file": file})
    run = crons.run_now("c")
    cluster(workers=1, modules=[work.WORK])
    until(lambda: work.ledger(file), 20)
    crons.delete("c")
    work.open_gate(file)
    assert scheduler.wait(run, 20).state == State.SUCCESS
    assert [line.split()[0] for line in work.ledger(file)] == ["begin", "end"]


@pytest.mark.parametrize("by", [action, mutation])
def test_a_run_may_delete_its_own_cron(clock, advance, by):
    @by(name=f"test.deletes.{by.__name__}")
    def body() -> None:
        crons.delete("c")

    crons.register("c", 60, body)
    (run,) = advance(600)
    assert run.state == State.SUCCESS
    assert names() == []


def test_a_deleted_name_can_be_registered_again(clock):
    crons.register("c", 60, work.noop)
    crons.delete("c")
    assert crons.register("c", 90, work.noop).spec == "90"


def test_a_declared_cron_that_was_deleted_stays_away_until_it_is_reset(clock, app, advance):
    app.interval("a", 60, work.noop)
    synced()
    advance(0)
    crons.delete("a")
    assert names() == []
    for verb in (crons.get, crons.delete, crons.pause, crons.resume, crons.run_now, crons.edit):
        with pytest.raises(NotFound, match="no cron is named 'a'"):
            verb("a")
    with pytest.raises(AlreadyExists, match="declared in code and deleted by hand: reset"):
        crons.register("a", 60, work.noop)
    assert synced(only_add=True) == synced() == ([], [], [])
    app.declared.clear()
    app.interval("a", 90, work.noop)
    assert synced() == ([], [], [])
    assert advance(600) == []
    crons.reset("a")
    assert crons.get("a").spec == "90"
    assert len(advance(90)) == 1


def test_what_the_code_does_not_declare_any_more_is_not_brought_back_by_a_reset(clock, app):
    app.interval("a", 60, work.noop)
    synced()
    app.declared.clear()
    synced()
    with pytest.raises(InvalidOption, match="a is retired: no installed app declares it any more"):
        crons.reset("a")
    assert names() == []


# Editing


def test_edit_changes_what_it_is_told_and_nothing_else(clock):
    before = crons.register("c", 60, work.noop, {"n": 1}, retry=Retry(base=3), timeout=5, description="one")
    cron = crons.edit("c", args={"n": "2"}, overlap="queue", timeout=None, jitter=timedelta(seconds=2))
    assert (cron.arguments, cron.overlap, cron.timeout, cron.jitter) == ({"n": 2}, "queue", None, 2.0)
    assert (cron.spec, cron.retry["base"], cron.description) == ("60", 3, "one")
    assert crons.get("c").next_tick_at == before.next_tick_at
    assert crons.get("c").overlap == "queue"


def test_edit_of_the_function(clock):
    crons.register("c", 60, work.noop, {"n": 1})
    with pytest.raises(InvalidArguments):
        crons.edit("c", fn=work.add)
    assert crons.edit("c", fn=work.add, args={"a": 1}).function == "work.add"


@pytest.mark.parametrize("schedule", [90, timedelta(seconds=90), "90"])
def test_a_new_schedule_ticks_at_its_next_instant_from_now_on(clock, advance, schedule):
    crons.register("c", 3600, work.noop)
    clock.jump(100)
    assert crons.edit("c", schedule=schedule).next_tick_at == START + timedelta(seconds=180)
    assert crons.edit("c", schedule="0 14 * * *", timezone="Europe/Berlin").next_tick_at == START.replace(
        hour=12, minute=0, second=0
    ) + timedelta(days=1)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"schedule": "* * * * * *"}, InvalidSchedule, "has 6 fields"),
        ({"schedule": 0.5}, InvalidSchedule, "from 1 second"),
        ({"schedule": None}, InvalidSchedule, "seconds or a timedelta"),
        ({"timezone": "Mars"}, InvalidSchedule, "no time zone is named"),
        ({"args": {"m": 1}}, InvalidArguments, "m: Extra inputs"),
        ({"fn": "work.nothing"}, NotFound, "no function is registered as"),
        ({"fn": work.count}, InvalidOption, "is a query"),
        ({"overlap": "maybe"}, InvalidOption, "c: overlap: it is one of"),
        ({"schedule": 10}, InvalidOption, "jitter is less than the time between two ticks"),
        ({"jitter": 60}, InvalidOption, "jitter is less than the time between two ticks"),
        ({"paused": True}, InvalidOption, "use pause"),
        ({"colour": 1}, InvalidOption, "unknown option colour"),
    ],
)
def test_edit_is_checked_as_a_declaration_is(clock, changes, error, says):
    crons.register("c", 60, work.noop, jitter=20)
    before = Cron.objects.values().get()
    with pytest.raises(error, match=says):
        crons.edit("c", description="new", **changes)
    assert Cron.objects.values().get() == before


def test_edit_of_a_paused_or_retired_cron_leaves_it_so(clock, advance):
    crons.register("c", 60, work.noop)
    crons.pause("c", "why", START + timedelta(seconds=90))
    crons.edit("c", schedule=30)
    assert crons.get("c").paused
    assert advance(90) == []
    assert [job.scheduled_for for job in advance(30)] == [START + timedelta(seconds=120)]
    Cron.objects.update(retired_at=START, next_tick_at=None)
    assert crons.edit("c", schedule=60).next_tick_at is None


def test_edit_mends_a_broken_row(clock, advance):
    crons.register("c", 60, work.noop)
    Cron.objects.update(spec="nonsense")
    advance(60)
    with pytest.raises(InvalidSchedule):
        crons.edit("c", priority=3)
    assert crons.edit("c", schedule=60).broken == ""
    assert len(advance(60)) == 1


def test_what_was_edited_counts_as_changed_by_an_operator(clock, app):
    app.interval("a", 60, work.noop, {"n": 1})
    synced()
    crons.edit("a", args={"n": 2}, schedule=30)
    app.declared.clear()
    app.interval("a", 90, work.noop, {"n": 3}, priority=5)
    synced()
    cron = crons.get("a")
    assert (cron.arguments, cron.spec, cron.priority) == ({"n": 2}, "30", 5)
    crons.reset("a")
    assert (crons.get("a").arguments, crons.get("a").spec) == ({"n": 3}, "90")


def test_a_row_that_somebody_spoilt_by_hand_stops_no_sync(clock, app):
    app.interval("a", 60, work.noop)
    app.interval("b", 60, work.noop)
    synced()
    Cron.objects.filter(key="a").update(spec="nonsense", broken="why")
    Cron.objects.filter(key="b").update(declared="nonsense")
    app.declared.clear()
    app.interval("a", 60, work.noop, priority=3)
    app.interval("b", 60, work.noop, priority=3)
    assert synced() == ([], ["a", "b"], [])
    assert "nonsense" in crons.get("a").broken
    crons.reset("a")
    assert (crons.get("a").broken, crons.get("a").spec, crons.get("b").declared["priority"]) == ("", "60", 3)


# Looking ahead


def test_preview(clock):
    after = datetime(2026, 3, 28, 12, tzinfo=UTC)
    found = crons.preview("30 2 * * *", "Europe/Berlin", n=3, after=after)
    assert [str(tick) for tick in found] == [
        "2026-03-29 03:00:00+02:00",
        "2026-03-30 02:30:00+02:00",
        "2026-03-31 02:30:00+02:00",
    ]
    assert crons.preview(60, n=2) == [START + timedelta(seconds=60), START + timedelta(seconds=120)]
    assert len(crons.preview("* * * * *")) == 10
    assert crons.preview("* * * * *", n=0) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["* * * *"], InvalidSchedule),
        (["* * * * *", "Mars"], InvalidSchedule),
        ([60, "Mars"], InvalidSchedule),
        (["* * * * *", "UTC", -1], InvalidOption),
        (["* * * * *", "UTC", 1, datetime(2026, 1, 1)], InvalidOption),  # noqa: DTZ001
    ],
)
def test_preview_refuses_nonsense(arguments, error):
    with pytest.raises(error):
        crons.preview(*arguments)


def test_describe(clock):
    cron = crons.register("c", "0 2 * * *", work.noop, timezone="Europe/Berlin")
    assert crons.describe(cron) == "at 02:00 every day (Europe/Berlin)"
    cron.spec = "nonsense"
    assert crons.describe(cron) == "nonsense"


@pytest.mark.django_db
def test_crons_of_an_app_that_is_not_installed_here_are_left_to_those_who_have_it():
    crons.sync()
    Cron.objects.filter(declared__isnull=False).update(app="of_another_deployment")
    key = Cron.objects.filter(declared__isnull=False).values_list("key", flat=True)[0]
    Cron.objects.filter(key=key).update(key="elsewhere")
    assert crons.sync().retired == []
    Cron.objects.filter(key="elsewhere").update(app="markets")
    assert crons.sync().retired == ["elsewhere"]
