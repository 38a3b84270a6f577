"""What becomes of the ticks of crons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django_q.models import Schedule

from scheduling import Retry, action, crons, scheduler, testing
from scheduling.cluster import claims, ticker
from scheduling.models import Cron, Job, State
from tests.scheduling import work
from tests.scheduling.second import elsewhere, on_the_test_database

pytestmark = pytest.mark.django_db
sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has types")
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock():
    with testing.clock(START) as clock:
        yield clock


def runs(name="c", **filters):
    """The minutes after the start for which jobs were made, oldest first."""
    jobs = Job.objects.filter(cron=name, **filters).exclude(state=State.SKIPPED).order_by("scheduled_for")
    return [(job.scheduled_for - START) / MINUTE for job in jobs]


def skipped(name="c"):
    """(minute of the first, how many) of each record of skipped ticks."""
    records = Job.objects.filter(cron=name, state=State.SKIPPED).order_by("scheduled_for")
    return [((job.scheduled_for - START) / MINUTE, job.result["ticks"]) for job in records]


def by_sql(name="c", **columns):
    with connection.cursor() as cursor:
        for column, value in columns.items():
            cursor.execute(f'UPDATE scheduling_cron SET "{column}" = %s WHERE key = %s', [value, name])


def test_a_tick_makes_its_job_when_it_is_due_and_not_before(clock, advance):
    crons.register("c", 60, work.noop, {"n": 4}, priority=3, retry=Retry(base=3))
    assert ticker.tick() == 0
    clock.jump(60)
    assert ticker.tick() == 1
    job = Job.objects.get(cron="c")
    assert (job.name, job.args, job.priority, job.state) == ("work.noop", {"n": 4}, 3, State.PENDING)
    assert job.run_at == job.scheduled_for == START + MINUTE
    assert job.policy["retry"]["base"] == 3


def test_a_tick_is_made_once(clock):
    crons.register("c", 60, work.noop, overlap="allow")
    clock.jump(60)
    assert [ticker.tick(), ticker.tick()] == [1, 0]
    Cron.objects.update(next_tick_at=START + MINUTE)  # as a second host would find it, had it read before
    ticker.tick()
    assert runs() == [1]


@postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_hosts_that_tick_at_once_one_makes_the_jobs():
    for n in range(3):
        crons.register(f"c{n}", 60, work.noop)
    Cron.objects.update(next_tick_at=START)
    with transaction.atomic():
        assert ticker.tick() == 3
        assert elsewhere(ticker.tick) == 0
    assert ticker.tick() == 0
    assert Job.objects.filter(scheduled_for=START).count() == 3


@postgresql
@pytest.mark.django_db(transaction=True)
def test_where_the_first_host_rolls_back_the_second_makes_the_jobs():
    crons.register("c", 60, work.noop)
    Cron.objects.update(next_tick_at=START)
    with transaction.atomic():
        assert ticker.tick() == 1
        transaction.set_rollback(True)
    assert elsewhere(ticker.tick) == 1
    assert Job.objects.filter(scheduled_for=START).count() == 1


def test_a_tick_that_is_rolled_back_is_made_again(clock):
    crons.register("c", 60, work.noop)
    clock.jump(60)
    with transaction.atomic():
        assert ticker.tick() == 1
        transaction.set_rollback(True)
    assert runs() == []
    assert ticker.tick() == 1
    assert runs() == [1]


def test_a_run_that_fails_does_not_stop_its_cron(clock, advance):
    crons.register("c", 60, work.write, {"name": "x", "fail": True})
    advance(180)
    assert runs(state=State.FAILED) == [1, 2, 3]


@postgresql
@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_host_whose_clock_is_an_hour_wrong_decides_as_the_others_do(ahead):
    """One that is ahead ticks nothing early, one that is behind nothing late: time is the database's."""
    now = testing.clock.now()
    for name, minutes in (("past", -10), ("soon", 30), ("paused", -10)):
        crons.register(name, 3600, work.noop)
        Cron.objects.filter(key=name).update(next_tick_at=now + minutes * MINUTE, anchor=now + minutes * MINUTE)
    crons.pause("paused", "why", now + 30 * MINUTE)
    done = on_the_test_database(["-m", "tests.scheduling.wrong_clock", str(ahead)])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"
    assert list(Job.objects.values_list("cron", flat=True)) == ["past"]
    made = Job.objects.get()
    assert made.scheduled_for == now - 10 * MINUTE
    assert abs(made.created_at - now) < MINUTE
    registered = crons.get(f"registered {ahead}")
    assert abs(registered.next_tick_at - now - 60 * MINUTE) < MINUTE


def test_intervals_do_not_drift(clock, advance):
    crons.register("c", 60, work.noop)
    for _ in range(5):
        clock.jump(61.7)
        testing.drain()
    assert runs() == [1, 2, 3, 4, 5]


def test_scheduled_for_is_the_instant_however_late_it_runs(clock, drain):
    got = []

    @action(name="test.scheduled_for")
    def body(scheduled_for: datetime) -> None:
        got.append(scheduled_for)

    crons.register("c", 60, body)
    clock.jump(64)
    drain()
    assert got == [START + MINUTE]


# Overlap


def test_overlap_skip_keeps_one_record_with_the_number_of_ticks(clock):
    crons.register("c", 60, work.noop)
    for _ in range(5):
        clock.jump(60)
        ticker.tick()
    assert runs() == [1]
    assert skipped() == [(2, 4)]
    record = Job.objects.get(state=State.SKIPPED)
    assert "the run before had not ended" in record.error
    assert record.finished_at is not None


def test_each_long_run_has_a_record_of_its_own(clock, drain):
    crons.register("c", 60, work.noop)
    for minute in range(1, 7):
        clock.jump(60)
        ticker.tick()
        if minute in (3, 6):
            drain()
    assert runs() == [1, 4]
    assert skipped() == [(2, 2), (5, 2)]


def test_overlap_queue_lets_one_wait(clock, drain):
    crons.register("c", 60, work.noop, overlap="queue")
    for _ in range(4):
        clock.jump(60)
        ticker.tick()
    assert runs() == [1, 2]
    assert skipped() == [(3, 2)]
    drain()
    clock.jump(60)
    drain()
    assert runs() == [1, 2, 5]


def test_overlap_allow_makes_them_all(clock):
    crons.register("c", 60, work.noop, overlap="allow")
    for _ in range(4):
        clock.jump(60)
        ticker.tick()
    assert runs() == [1, 2, 3, 4]
    assert skipped() == []


def test_a_retried_run_is_unfinished_between_its_attempts(clock, random, advance):
    random(0.5)
    crons.register("c", 60, work.flaky, {"until": 3}, retry=Retry(initial_backoff=40))
    advance(60 * 5)
    assert runs() == [1, 4]  # the first ran at 1:00, 1:40 and 3:00; its end is before the tick of 4:00
    assert skipped() == [(2, 2), (5, 1)]


# Catching up


def test_catch_up_once_makes_one_late_run_then_the_next_future_tick(clock, advance):
    crons.register("c", 60, work.noop)
    clock.jump(60 * 10 + 30)
    advance(0)
    assert runs() == [1]
    assert skipped() == [(2, 9)]
    advance(60)
    assert runs() == [1, 11]


def test_catch_up_none_makes_no_late_run(clock, advance):
    crons.register("c", 60, work.noop, catch_up="none")
    clock.jump(60 * 10 + 30)
    advance(0)
    assert runs() == []
    assert skipped() == [(1, 10)]
    advance(60)
    assert runs() == [11]


def test_catch_up_none_runs_the_tick_that_is_just_due(clock, advance):
    crons.register("c", 60, work.noop, catch_up="none")
    clock.jump(60 * 3 + 1)
    advance(0)
    assert runs() == [3]
    assert skipped() == [(1, 2)]


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
def test_catch_up_all_runs_them_one_by_one_in_order(clock, overlap):
    ran = []

    @action(name=f"test.all.{overlap}")
    def body(scheduled_for: datetime) -> None:
        ran.append((scheduled_for - START) / MINUTE)

    crons.register("c", 60, body, catch_up="all", overlap=overlap)
    clock.jump(60 * 5 + 30)
    testing.drain()
    assert ran == [1, 2, 3, 4, 5]
    testing.advance(60)
    assert ran == [1, 2, 3, 4, 5, 6]
    assert skipped() == []


def test_catch_up_all_makes_up_for_a_short_while_too(clock):
    crons.register("c", 1, work.noop, catch_up="all", overlap="allow")
    clock.jump(4)
    testing.drain()
    assert [(run.scheduled_for - START).total_seconds() for run in Job.objects.order_by("pk")] == [1, 2, 3, 4]


def test_catch_up_all_waits_for_the_run_before(clock):
    crons.register("c", 60, work.noop, catch_up="all")
    clock.jump(60 * 5 + 30)
    assert [ticker.tick(), ticker.tick(), ticker.tick()] == [1, 0, 0]
    assert runs() == [1]
    assert skipped() == []


@pytest.mark.parametrize("missed", [1500, 25_000])
def test_catch_up_all_makes_at_most_the_newest_thousand(clock, settings, missed):
    settings.SCHEDULING = {"late_ticks": 20}
    crons.register("c", 60, work.noop, catch_up="all", overlap="allow")
    clock.jump(60 * missed + 30)
    testing.drain()
    assert runs() == list(range(missed - 19, missed + 1))
    assert skipped() == [(1, missed - 20)]


def test_an_outage_of_years_is_no_long_work(clock, drain):
    for n, catch_up in enumerate(("once", "all", "none")):
        crons.register(f"i{n}", 1, work.noop, catch_up=catch_up)
        crons.register(f"c{n}", "*/10 * * * *", work.noop, catch_up=catch_up)
    clock.jump(timedelta(days=300))
    assert ticker.tick() == 6
    assert Job.objects.exclude(state=State.SKIPPED).count() == 6
    for kind, ticks in (("i", 300 * 86400), ("c", 300 * 144)):
        passed = [sum(count for _first, count in skipped(f"{kind}{n}")) for n in range(3)]
        assert passed == [ticks - 1, ticks - 1000, ticks - 1]


# Pausing


def test_paused_ticks_leave_no_record(clock, advance):
    crons.register("c", 60, work.noop)
    crons.pause("c", "on holiday")
    advance(600)
    assert not Job.objects.exists()
    crons.resume("c")
    advance(60)
    assert runs() == [11]
    assert skipped() == []


def test_resume_makes_up_for_what_passed_where_it_is_told_to(clock, advance):
    crons.register("c", 60, work.noop, catch_up="all")
    crons.pause("c")
    advance(190)
    crons.resume("c", run_missed=True)
    advance(0)
    assert runs() == [1, 2, 3]


def paused(name="c"):
    cron = crons.get(name)
    return cron.paused, cron.paused_reason, cron.paused_at, cron.paused_until


@pytest.mark.parametrize("schedule", [60, "* * * * *"])
def test_a_pause_with_an_end_ends_by_itself_and_the_cron_ticks_from_its_first_instant_after_it(
    clock, advance, schedule
):
    crons.register("c", schedule, work.noop)
    crons.pause("c", "on holiday", START + 3.5 * MINUTE)
    advance(60 * 3.5 - 1)
    assert paused() == (True, "on holiday", START, START + 3.5 * MINUTE)
    advance(1)
    assert paused() == (False, "", None, None)
    advance(150)
    assert runs() == [4, 5, 6]
    assert skipped() == []


def test_the_instant_at_which_a_pause_ends_is_not_run(clock, advance):
    crons.register("c", 60, work.noop)
    crons.pause("c", "why", START + 3 * MINUTE)
    advance(60 * 4)
    assert runs() == [4]


@pytest.mark.parametrize(
    ("catch_up", "ran", "passed"),
    [("once", [4], [(5, 5)]), ("all", [4, 5, 6, 7, 8, 9], []), ("none", [], [(4, 6)])],
)
def test_what_passes_after_the_end_of_a_pause_is_missed_and_what_passed_in_it_is_not(clock, catch_up, ran, passed):
    crons.register("c", 60, work.noop, catch_up=catch_up)
    crons.pause("c", "why", START + 3.5 * MINUTE)
    clock.jump(9.5 * MINUTE)  # in an outage that begins in the pause
    testing.drain()
    assert runs() == ran
    assert skipped() == passed
    assert paused() == (False, "", None, None)


def test_a_pause_that_ends_while_a_run_is_under_way_ends_all_the_same(clock):
    crons.register("c", 60, work.noop, catch_up="all")
    crons.run_now("c")
    crons.pause("c", "why", START + 3.5 * MINUTE)
    clock.jump(9.5 * MINUTE)
    ticker.tick()
    assert paused() == (False, "", None, None)
    testing.drain()
    assert runs(scheduled_for__isnull=False) == [4, 5, 6, 7, 8, 9]


@postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_hosts_one_ends_a_pause_and_ticks():
    crons.register("c", 60, work.noop)
    now = testing.clock.now()
    Cron.objects.update(anchor=now - 5 * MINUTE, paused=True, paused_until=now - 2 * MINUTE)
    with transaction.atomic():
        assert ticker.tick() == 1
        assert elsewhere(ticker.tick) == 0
    assert ticker.tick() == 0
    assert Job.objects.exclude(state=State.SKIPPED).count() == 1
    assert paused() == (False, "", None, None)


@pytest.mark.parametrize("ends", [True, False])
def test_the_look_for_work_sees_the_end_of_a_pause_and_nothing_before(clock, ends):
    crons.register("c", 60, work.noop)
    crons.pause("c", "why", START + 5 * MINUTE if ends else None)
    assert ticker.next_tick(START) == (START + 5 * MINUTE if ends else None)
    clock.jump(4 * MINUTE)
    assert not claims.look([]).ticks
    clock.jump(MINUTE)
    assert claims.look([]).ticks is ends


@pytest.mark.parametrize(
    "columns", [{"retired_at": START}, {"broken": "why"}, {"paused": True}, {"next_tick_at": START + 9 * MINUTE}]
)
def test_the_look_for_work_sees_no_cron_that_does_not_tick(clock, columns):
    crons.register("c", 60, work.noop)
    Cron.objects.update(**columns)
    clock.jump(5 * MINUTE)
    assert not claims.look([]).ticks
    assert ticker.tick() == 0


# Broken rows


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({"spec": "* * * * * *"}, "has 6 fields"),
        ({"spec": ""}, "has 0 fields"),
        ({"timezone": "Mars/Phobos"}, "no time zone is named 'Mars/Phobos'"),
        ({"arguments": "{no json"}, "arguments is no JSON"),
        ({"arguments": "[1]"}, "arguments are no JSON object"),
        ({"retry": "{no json"}, "retry is no JSON"),
        ({"retry": "5"}, "retry is a Retry"),
        ({"retry": '{"base": 0}'}, "base"),
        ({"priority": 500}, "job_priority"),
        ({"overlap": "allow", "timeout": 366 * 86401}, "a timeout is a number of seconds"),
        ({"spec": "1e7"}, None),
    ],
)
def test_a_broken_row_stops_only_itself_and_shows_its_error(clock, advance, columns, shown):
    crons.register("a", "*/1 * * * *", work.noop)
    crons.register("c", "*/1 * * * *", work.noop)
    crons.register("z", "*/1 * * * *", work.noop)
    by_sql(**columns)
    advance(180)
    assert runs("a") == runs("z") == [1, 2, 3]
    broken = crons.get("c")
    if shown is None:
        assert broken.broken == ""
        return
    assert shown in broken.broken
    assert runs("c") == []
    assert [cron.key for cron in crons.list()] == ["a", "c", "z"]
    assert "c" not in [cron.key for cron in Cron.objects.active()]
    if "priority" not in columns:
        crons.sync()


@pytest.mark.parametrize(
    ("column", "garbage"),
    [
        ("jitter", -1),
        ("jitter", 1e9),
        ("jitter", None),
        ("timeout", 0),
        ("timeout", -5),
        ("alert_after", 0),
        ("alert_after", 30_000),
        ("fresh_within", 0),
        ("fresh_within", 1e300),
        ("deleted", True),
        ("paused_until", START),
        *(
            pytest.param(column, "soon", marks=sqlite)
            for column in ("jitter", "timeout", "alert_after", "fresh_within", "paused_until")
        ),
        *(pytest.param(column, "soon", marks=sqlite) for column in ("anchor", "next_tick_at", "last_tick_at")),
        *(pytest.param(column, float("nan"), marks=postgresql) for column in ("jitter", "timeout", "fresh_within")),
    ],
)
def test_the_database_refuses_what_no_column_can_hold(clock, column, garbage):
    crons.register("c", 60, work.noop)
    with pytest.raises(IntegrityError), transaction.atomic():
        by_sql(**{column: garbage})


@sqlite
@pytest.mark.parametrize("column", ["anchor", "next_tick_at", "paused_until"])
def test_a_time_that_cannot_be_read_breaks_only_its_row(clock, column):
    crons.register("a", 60, work.noop)
    crons.register("c", 60, work.noop)
    if column == "paused_until":
        crons.pause("c", "why", START + MINUTE)
    by_sql(**{column: "2026-02-31 00:00:00"})
    for _ in range(3):
        clock.jump(MINUTE)
        ticker.tick()
        testing.drain()
    assert runs("a") == [1, 2, 3]
    broken = Cron.objects.filter(key="c").values_list("broken", flat=True)[0]
    assert "day is out of range" in broken


def test_a_broken_record_of_skipped_ticks_stops_nobody(clock, advance):
    crons.register("a", 60, work.noop)
    crons.register("c", 60, work.noop)
    crons.run_now("c")
    clock.jump(MINUTE)
    ticker.tick()
    Job.objects.filter(cron="c", state=State.SKIPPED).update(result="nonsense")
    clock.jump(MINUTE)
    ticker.tick()
    assert skipped() == [(1, 1)]


def test_a_broken_row_that_was_mended_is_resumed(clock, advance):
    crons.register("c", "*/1 * * * *", work.noop)
    by_sql(spec="nonsense")
    advance(60)
    by_sql(spec="*/2 * * * *")
    crons.resume("c")
    advance(60)
    assert crons.get("c").broken == ""
    assert runs() == [2]


def test_a_cron_of_a_function_that_nobody_knows_makes_one_pending_job(clock, advance):
    crons.register("c", 60, work.noop)
    by_sql(function="work.gone")
    advance(180)
    assert runs(state=State.PENDING) == [1]
    assert skipped() == [(2, 2)]


# The rows


def test_a_row_is_a_child_of_django_qs_schedule(clock, advance):
    cron = crons.register("c", 60, work.noop)

    def parent():
        return Schedule.objects.get(pk=cron.pk)

    assert (parent().name, parent().func, parent().repeats) == ("c", "work.noop", 0)
    assert parent().next_run == START + MINUTE
    advance(60)
    assert parent().next_run == START + 2 * MINUTE == crons.get("c").next_tick_at
    crons.pause("c")
    crons.resume("c")
    assert parent().next_run == crons.get("c").next_tick_at


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_crons_that_wait_to_catch_up_keep_no_other_from_ticking(clock, monkeypatch, overlap):
    monkeypatch.setattr(ticker, "DUE", ticker.DUE.replace(f"LIMIT {ticker.AT_ONCE}", "LIMIT 5"))
    for n in range(7):
        crons.register(f"w{n}", 60, work.noop, catch_up="all", overlap=overlap)
    crons.register("c", 600, work.noop)
    clock.jump(10.5 * MINUTE)
    while ticker.tick():
        pass
    assert runs() == [10]
    assert Job.objects.filter(cron="w0").count() == (1 if overlap == "skip" else 2)
    testing.drain()
    assert runs("w0") == runs("w6") == list(range(1, 11))


def test_more_crons_than_one_transaction_takes_all_tick(clock, monkeypatch):
    monkeypatch.setattr(ticker, "DUE", ticker.DUE.replace(f"LIMIT {ticker.AT_ONCE}", "LIMIT 5"))
    for n in range(12):
        crons.register(f"c{n}", 60, work.noop)
    clock.jump(60)
    assert [ticker.tick() for _ in range(4)] == [5, 5, 2, 0]
    clock.jump(60)
    assert [ticker.tick() for _ in range(4)] == [5, 5, 2, 0]
    assert Job.objects.filter(state=State.SKIPPED).count() == 12


def test_a_tick_of_many_crons_that_skip_takes_few_queries(clock, django_assert_max_num_queries):
    for n in range(50):
        crons.register(f"c{n}", 60, work.noop)
    for _ in range(3):
        clock.jump(60)
        with django_assert_max_num_queries(9):
            assert ticker.tick() == 50
    assert skipped("c7") == [(2, 2)]


def test_a_tick_of_many_crons_takes_few_queries(clock, django_assert_max_num_queries):
    for n in range(50):
        crons.register(f"c{n}", 60, work.noop)
    clock.jump(60)
    with django_assert_max_num_queries(8):
        assert ticker.tick() == 50


def test_many_runs_of_one_cron_find_their_tick_by_an_index(clock, advance):
    crons.register("c", 60, work.noop)
    advance(60 * 30)
    assert scheduler.pending().count() == 0
    assert runs() == list(range(1, 31))
