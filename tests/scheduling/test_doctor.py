"""The doctor finds each fault that is planted, and says the right mend; where all is well it finds nothing."""

from __future__ import annotations

import io
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling import (
    Call,
    RateLimit,
    TokenBucket,
    action,
    clock,
    crons,
    doctor,
    functions,
    limits,
    pools,
    scheduler,
    testing,
)
from scheduling.cluster import rescue, transitions
from scheduling.cluster.transitions import Trace
from scheduling.doctor import CHECKS, project
from scheduling.models import Cron, Host, Job, Limit, Pause, Pool, State
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def frozen():
    with testing.clock(START) as clock:
        yield clock


@pytest.fixture(autouse=True)
def well(settings, monkeypatch):
    """Settings as in production, what the code declares written, and no function that another test has left behind."""
    ours = {name: one for name, one in functions._registry.items() if name.startswith(("work.", "markets."))}
    monkeypatch.setattr(functions, "_registry", ours)
    settings.SECRET_KEY = "x1Y2z3-" * 10
    settings.SECURE_SSL_REDIRECT = True
    crons.sync()
    Cron.objects.update(next_tick_at=START + timedelta(days=300))


@pytest.fixture
def host():
    return rescue.register(2, os.getpid())


def found():
    """All findings, by code; each code has one."""
    every = doctor.examine()
    assert len({finding.code for finding in every}) == len(every), every
    return {finding.code: finding for finding in every}


def the_one():
    (finding,) = doctor.examine()
    return finding


def run(host, count=100):
    claimed = take(host, count)
    for claim in claimed:
        transitions.start(claim, 77)
    return claimed


def test_nothing_where_all_is_well(host, frozen):
    pools.define("exchange", 1)
    limits.define("api", TokenBucket(rate=1, period=100))
    scheduler.now(work.noop)
    run(host)
    scheduler.bulk([Call(work.noop, pool="exchange"), Call(work.noop, {"n": 1}, rate_limit="api")])
    run(host)
    scheduler.now(work.noop, pool="exchange")
    scheduler.run_after(3600, work.noop)
    crons.register("c", 60, work.noop)
    pools.pause("exchange")
    pools.resume("exchange")
    frozen.jump(59)
    assert doctor.examine() == []


# Hosts


def test_no_live_host():
    Cron.objects.all().update(paused=True)
    assert the_one().severity == "warning"
    scheduler.now(work.noop)
    finding = the_one()
    assert (finding.code, finding.severity, finding.mend) == ("no_live_host", "error", "start one: manage.py qcluster")
    assert "1 due job seen" in finding.what


def test_no_live_host_though_crons_tick():
    assert the_one().severity == "error"


def test_a_dead_host_and_its_claims(host):
    scheduler.now(work.noop)
    run(host)
    Host.objects.filter(pk=host.pk).update(pid_started=1)
    finding = found()["dead_host"]
    assert finding.what == "it died (started 2026-05-01 12:00:00Z (now)) and left 1 claim"
    assert finding.mend.endswith("; start one: manage.py qcluster")
    rescue.register(1, os.getppid())
    assert the_one().mend == "any running host settles it within 30 s"


@pytest.mark.parametrize("gone", ["ended", "deleted"])
def test_claims_of_a_host_that_is_gone(host, gone):
    job = scheduler.now(work.noop)
    run(host)
    rows = Host.objects.filter(pk=host.pk)
    _ = rows.delete() if gone == "deleted" else rows.update(ended_at=START)
    rescue.register(1, os.getpid())
    finding = the_one()
    assert (finding.code, finding.where) == ("gone_claim", f"job {job.pk}")
    assert finding.mend == "a running host settles it within a minute"
    Job.objects.update(name="gone.too")
    assert the_one().mend == f"no running host knows gone.too: deploy it, or manage.py jobs cancel {job.pk}"


def test_a_host_whose_clock_is_apart(host):
    Host.objects.update(clock_ahead=-200, machine="another/one", beat_at=START, pid=1)
    if connection.vendor == "sqlite":
        Host.objects.update(machine=host.machine.partition("/")[0] + "/another container")
    finding = the_one()
    assert (finding.code, finding.severity) == ("clocks_apart", "warning")
    assert finding.what == "its clock is 200.0 s behind the database's"
    assert "chrony" in finding.mend
    Host.objects.update(clock_ahead=1.9)
    assert doctor.examine() == []


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite goes by this machine's own clock")
def test_this_machine_whose_clock_is_apart(host, monkeypatch):
    clock.set_time(None)
    real = clock.time.time
    monkeypatch.setattr(clock.time, "time", lambda: real() + 30)
    finding = found()["clocks_apart"]
    assert finding.where.startswith("this machine")
    assert finding.what in (
        "its clock is 30.0 s ahead of the database's",
        "its clock is 29.9 s ahead of the database's",
    )


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL may be shared")
def test_sqlite_used_by_hosts_of_two_machines(host):
    other = rescue.register(1, os.getppid())
    Host.objects.filter(pk=other.pk).update(machine="another-boot/1", hostname="web2")
    finding = found()["sqlite_shared"]
    assert finding.what == "hosts of other machines use the same SQLite file: web2"
    assert "move to PostgreSQL" in finding.mend


# Jobs that might begin


def test_jobs_that_wait_though_workers_are_idle(host, frozen):
    pools.define("exchange")
    scheduler.now(work.noop)
    run(host)
    job = scheduler.now(work.noop, pool="exchange")
    frozen.jump(61)
    finding = the_one()
    assert (finding.code, finding.severity, finding.where) == ("stuck", "error", "pool exchange")
    assert f"job {job.pk} (work.noop) might begin since 2026-05-01 12:00:00Z (1 min ago)" in finding.what
    assert "1 worker of 1 host idle" in finding.what
    assert "restart them" in finding.mend


def test_jobs_that_wait_for_busy_workers(host, frozen):
    scheduler.bulk([Call(work.noop), Call(work.noop)])
    run(host)
    scheduler.bulk([Call(work.noop), Call(work.noop, priority=5)])
    frozen.jump(61)
    finding = the_one()
    assert (finding.code, finding.severity) == ("busy", "warning")
    assert "qcluster --workers N" in finding.mend


def test_workers_between_two_jobs_are_busy(host, frozen):
    """A look may find each of them right after an end, however much it has to do."""
    scheduler.bulk([Call(work.noop) for _ in range(4)])
    frozen.jump(61)
    for process, claim in enumerate(take(host, 2), start=1):
        transitions.finish(claim, "null", Trace(process=process))
    assert the_one().code == "busy"
    frozen.jump(2)
    assert the_one().code == "stuck", "nobody hands them the next"


def test_one_that_has_just_ended_a_job_makes_no_other_busy(host, frozen):
    scheduler.bulk([Call(work.noop) for _ in range(3)])
    frozen.jump(61)
    for claim in take(host, 2):
        transitions.finish(claim, "null", Trace(process=1))
    assert "1 worker of 1 host idle" in the_one().what


def test_what_waited_before_any_host_lived_is_not_late(frozen):
    scheduler.now(work.noop)
    crons.register("c", 60, work.noop)
    frozen.jump(3600)
    rescue.register(1, os.getpid())
    frozen.jump(59)
    assert doctor.examine() == []
    frozen.jump(2)
    assert set(found()) == {"stuck", "cron_overdue"}


def test_a_job_of_long_ago_that_was_just_scheduled_is_not_late(host, frozen):
    frozen.jump(3600)
    scheduler.run_at(START, work.noop)
    assert doctor.examine() == []


def test_jobs_that_wait_in_a_full_pool_are_not_late(host, frozen):
    pools.define("exchange", 1)
    scheduler.bulk([Call(work.noop, pool="exchange"), Call(work.noop, pool="exchange")])
    run(host, 1)
    frozen.jump(3600)
    assert doctor.examine() == []


def test_more_of_a_pool_run_than_may(host):
    pools.define("exchange", 2)
    scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(2)])
    run(host)
    pools.resize("exchange", 1)
    finding = the_one()
    assert (finding.code, finding.where) == ("pool_over_cap", "pool exchange")
    assert finding.what == "2 of its jobs run, and 1 may"
    assert "manage.py pools set exchange --max N" in finding.mend


# Jobs that cannot begin


@pytest.mark.parametrize(
    ("pause", "where", "mend"),
    [
        (lambda: scheduler.pause(work.noop, "x"), "function work.noop", "manage.py jobs resume --function work.noop"),
        (lambda: pools.pause("exchange", "x"), "pool exchange", "manage.py pools resume exchange"),
        (lambda: scheduler.pause(reason="x", everything=True), "everything", "manage.py jobs resume --everything"),
    ],
)
def test_a_pause_with_work_waiting(host, pause, where, mend):
    pools.define("exchange")
    pause()
    if where != "everything":
        assert doctor.examine() == [], "nothing waits"
    scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(3)])
    finding = the_one()
    assert (finding.code, finding.where, finding.mend) == ("paused", where, mend)
    assert finding.what == "paused since 2026-05-01 12:00:00Z (now) (x); 3 jobs are due"


def test_a_pause_that_ends_by_itself_says_when(host):
    scheduler.now(work.noop)
    scheduler.pause(work.noop, until=START + timedelta(hours=1))
    assert the_one().mend == (
        "ends by itself at 2026-05-01 13:00:00Z (in 1 h); or now: manage.py jobs resume --function work.noop"
    )


def test_the_mends_of_pauses_and_pools_mend(host):
    pools.define("exchange")
    scheduler.now(work.noop, pool="exchange")
    scheduler.pause(work.noop)
    pools.pause("exchange")
    pools.resize("exchange", 0)
    for finding in doctor.examine():
        _manage, *command = finding.mend.replace("--max N", "--max 3").split()
        call_command(*command, stderr=io.StringIO())
    assert doctor.examine() == []
    assert not Pause.objects.exists()


def test_a_pool_at_zero(host):
    pools.define("exchange", 0)
    scheduler.now(work.noop, pool="exchange")
    finding = the_one()
    assert (finding.code, finding.mend) == ("pool_at_zero", "manage.py pools set exchange --max N")


def test_a_pool_that_does_not_exist(host):
    pools.define("exchange")
    scheduler.run_after(3600, work.noop, pool="exchange")
    Pool.objects.all().delete()
    finding = the_one()
    assert (finding.code, finding.where) == ("unknown_pool", "pool exchange")
    assert finding.mend == (
        "write pools.define('exchange', max_parallelism=…) in an app's functions.py, then: manage.py migrate"
    )


def test_a_limit_that_does_not_exist(host):
    limits.define("api", TokenBucket(rate=1, period=1))
    scheduler.now(work.noop, rate_limit=RateLimit("api", key="n"))
    Limit.objects.all().delete()
    finding = the_one()
    assert (finding.code, finding.where) == ("unknown_limit", "rate limit api")
    assert finding.mend.startswith("write limits.define('api', …)")


def test_a_function_that_no_live_host_knows(host):
    job = scheduler.now(work.noop)
    Host.objects.update(functions=["work.add"])
    finding = the_one()
    assert (finding.code, finding.where) == ("unknown_function", "function work.noop")
    assert finding.mend == "restart the hosts, which run older code than this"
    Job.objects.update(name="gone.away", run_at=START - timedelta(days=9))
    finding = the_one()
    assert finding.what.startswith("1 job is of it, the first since 2026-05-01 12:00:00Z (now)"), "since it was made"
    assert finding.mend == (
        "deploy the code that has it and restart the hosts, or cancel: manage.py jobs cancel " + str(job.pk)
    )


def test_a_pool_that_no_live_host_serves(host):
    pools.define("exchange")
    scheduler.now(work.noop, pool="exchange")
    Host.objects.update(pools=["default"])
    finding = the_one()
    assert (finding.code, finding.where) == ("unserved_pool", "pool exchange")
    assert finding.mend == "start a host for it: manage.py qcluster --pools exchange, or one without --pools"


def test_a_function_with_a_pool_or_limit_that_does_not_exist(host):
    from scheduling import functions

    action(name="doctor.wrong", pool="nowhere", rate_limit="nothing")(lambda: None)
    try:
        wrong = [finding for finding in doctor.examine() if finding.code == "wrong_option"]
    finally:
        del functions._registry["doctor.wrong"]
    assert [finding.what for finding in wrong] == [
        "its pool nowhere does not exist: it cannot be scheduled",
        "its rate limit nothing does not exist: it cannot be scheduled",
    ]
    assert all(finding.where == "function doctor.wrong" for finding in wrong)


@pytest.mark.parametrize("end", ["finished", "gone"])
def test_a_job_that_waits_for_one_that_has_ended_or_is_gone(host, end):
    first, second = scheduler.run_after(60, work.noop), scheduler.run_after(60, work.noop)
    Job.objects.filter(pk=second.pk).update(waits_for=first)
    assert doctor.examine() == []
    rows = Job.objects.filter(pk=first.pk)
    _ = rows.delete() if end == "gone" else rows.update(state=State.SUCCESS, finished_at=START)
    finding = the_one()
    assert (finding.code, finding.where) == ("waiting_in_vain", f"job {second.pk}")


def test_a_job_that_has_crashed_its_worker(host):
    job = scheduler.now(work.noop)
    (claim,) = take(host)
    transitions.retry(claim, "worker died (signal 9, SIGKILL)", timedelta(hours=1), transitions.Trace(), crashes=1)
    finding = the_one()
    assert (finding.code, finding.where) == ("crashing", f"job {job.pk}")
    assert finding.what == ("work.noop has ended its worker's process 1 time: worker died (signal 9, SIGKILL)")
    assert f"manage.py jobs cancel {job.pk}" in finding.mend


def test_an_on_complete_that_failed(frozen):
    scheduler.now(work.noop, on_complete=work.told_in_vain)
    scheduler.now(work.flaky, retry=False)
    testing.drain()
    rescue.register(1, os.getpid())
    finding = the_one()
    failed = Job.objects.get(name="work.told_in_vain")
    assert (finding.code, finding.where) == ("on_complete_failed", f"job {failed.pk}")
    assert finding.mend.endswith(f"manage.py jobs retry {failed.pk}")
    frozen.jump(timedelta(days=1, seconds=1))
    assert "on_complete_failed" not in found()


# Crons


def test_a_broken_cron(host):
    crons.register("c", 60, work.noop)
    Cron.objects.filter(key="c").update(broken="'61 * * * *' is no cron expression")
    finding = the_one()
    assert (finding.code, finding.where) == ("cron_broken", "cron c")
    assert finding.what == "'61 * * * *' is no cron expression"
    assert finding.mend.endswith("manage.py crons resume c")


def test_a_cron_whose_tick_is_overdue(host, frozen):
    crons.register("c", 60, work.noop)
    frozen.jump(121)
    finding = the_one()
    assert (finding.code, finding.where) == ("cron_overdue", "cron c")
    assert finding.what == "it should have ticked at 2026-05-01 12:01:00Z (1 min ago)"
    crons.pause("c")
    assert doctor.examine() == []


def test_a_cron_that_makes_up_for_its_ticks_one_by_one_is_not_overdue(host, frozen):
    crons.register("c", 60, work.noop, catch_up="all")
    crons.run_now("c")
    run(host)
    frozen.jump(600)
    assert doctor.examine() == []


def test_a_pause_of_a_cron_that_should_have_ended(host, frozen):
    crons.register("c", 60, work.noop)
    crons.pause("c", "why", START + timedelta(seconds=60))
    frozen.jump(60)
    assert doctor.examine() == []
    frozen.jump(61)
    assert the_one().what == "it should have gone on at 2026-05-01 12:01:00Z (1 min ago)"


def test_a_backfill_makes_no_cron_late_and_hides_none_that_is(host, frozen):
    crons.register("c", 60, work.noop, catch_up="all")
    frozen.jump(121)
    crons.backfill("c", START - timedelta(hours=1), START)
    run(host)
    assert "cron_overdue" in {finding.code for finding in doctor.examine()}


@pytest.mark.parametrize(
    ("change", "what", "severity"),
    [
        (lambda: Cron.objects.all().delete(), "it is declared in code, and not written yet: it does not tick", "error"),
        (
            lambda: Cron.objects.update(declared={"spec": "60"}),
            "it has been changed in code since it was written",
            "warning",
        ),
        (
            lambda: Cron.objects.filter(key="sync-markets").update(key="sync-of-old"),
            "it is declared in code no more, and still ticks",
            "warning",
        ),
    ],
)
def test_a_cron_that_the_code_declares_otherwise(host, change, what, severity):
    change()
    unsynced = [finding for finding in doctor.examine() if finding.code == "cron_unsynced"]
    assert (what, severity) in [(finding.what, finding.severity) for finding in unsynced]
    assert unsynced[0].mend == "manage.py crons sync (as migrate does)"
    crons.sync()
    Cron.objects.filter(retired_at=None).update(next_tick_at=START + timedelta(days=300))
    assert doctor.examine() == []


# The project


def test_migrations_that_are_not_applied():
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'scheduling'")
    finding = the_one()
    assert (finding.code, finding.mend) == ("unmigrated", "manage.py migrate")
    assert "scheduling.0001_initial" in finding.what


def test_a_database_that_does_not_answer(monkeypatch):
    def away(*_):
        from django.db import OperationalError

        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", away)
    (finding,) = project.database(None)
    assert (finding.code, finding.what) == ("database_away", "it does not answer: connection refused")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("SECRET_KEY", "short", "security.W009"),
        ("SESSION_COOKIE_SECURE", False, "security.W012"),
        ("ALLOWED_HOSTS", ["*"], "any_host"),
        ("SCHEDULING", {"nonsense": 1}, "scheduling.E001"),
        ("SCHEDULING", {"database": "elsewhere"}, "scheduling.E005"),
        ("Q_CLUSTER", {}, "scheduling.E003"),
    ],
)
def test_unsafe_settings(host, settings, name, value, code):
    setattr(settings, name, value)
    finding = next(finding for finding in doctor.examine() if finding.code == code)
    assert finding.mend


def test_debug_with_hosts_on_several_machines(host, settings):
    settings.DEBUG = True
    assert "debug" not in found(), "as on a developer's machine"
    other = rescue.register(1, os.getppid())
    machine = host.machine.partition("/")[0] + "/another container"
    Host.objects.filter(pk=other.pk).update(machine=machine, beat_at=START)
    finding = found()["debug"]
    assert (finding.severity, finding.mend) == ("error", "set DEBUG=0 in the environment")


# The doctor itself


def test_a_check_that_fails_is_a_finding_and_stops_no_other(host, monkeypatch):
    def breaks(facts):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nonsense FROM nowhere")
        yield

    pools.define("exchange", 0)
    scheduler.now(work.noop, pool="exchange")
    monkeypatch.setattr(doctor, "CHECKS", [breaks, *CHECKS])
    assert list(found()) == ["check_failed", "pool_at_zero"]
    assert found()["check_failed"].where == "breaks"


def test_errors_come_first(host):
    pools.define("exchange", 0)
    scheduler.now(work.noop, pool="exchange")
    Host.objects.update(functions=[])
    assert [finding.severity for finding in doctor.examine()] == ["error", "warning"]


def test_it_takes_a_bounded_number_of_queries(host):
    pools.define("exchange", 5, key="n")
    scheduler.bulk([Call(work.noop, {"n": n}, pool="exchange", priority=n % 3) for n in range(300)])
    with CaptureQueriesContext(connection) as queries:
        doctor.examine()
    assert len(without_savepoints(queries)) <= 25


def without_savepoints(queries):
    """Each check has a savepoint where there is a transaction around it, as in a test."""
    return [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="its plans are read here")
def test_no_query_of_it_reads_the_whole_table_of_jobs(host):
    scheduler.bulk([Call(work.noop, {"n": n}, on_complete=work.told) for n in range(1000)])
    Job.objects.update(state=State.SUCCESS, finished_at=START)
    columns = ", ".join(field.column for field in Job._meta.concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO scheduling_job ({columns}) SELECT {columns} FROM scheduling_job, generate_series(1, 30)"
        )
    scheduler.bulk([Call(work.noop, {"n": n}) for n in range(500)])
    run(host, 5)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scheduling_job")
    with CaptureQueriesContext(connection) as queries:
        doctor.examine()
    ours = [sql for sql in without_savepoints(queries) if "scheduling_job" in sql]
    assert len(ours) > 5
    for sql in ours:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Seq Scan on scheduling_job" not in plan, f"{sql}\n{plan}"


# The command


def doctor_says(*options):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("doctor", *options, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), str(error), error.returncode
    return out.getvalue(), err.getvalue(), 0


def test_the_command_says_that_all_is_well(host):
    assert doctor_says() == ("", "nothing is wrong\n", 0)
    assert doctor_says("--json") == ("[]\n", "", 0)


def test_the_command_says_what_is_wrong_and_exits_with_1(host):
    pools.define("exchange", 0)
    scheduler.now(work.noop, pool="exchange")
    assert doctor_says() == (
        "warning: pool exchange: it is set to 0, and 1 job is due [pool_at_zero]\n"
        "  mend: manage.py pools set exchange --max N\n",
        "1 finding",
        1,
    )
    out, _err, code = doctor_says("--json")
    assert code == 1
    assert json.loads(out) == [
        {
            "code": "pool_at_zero",
            "severity": "warning",
            "what": "it is set to 0, and 1 job is due",
            "where": "pool exchange",
            "mend": "manage.py pools set exchange --max N",
        }
    ]


def test_the_command_used_wrongly():
    with pytest.raises(CommandError):
        call_command("doctor", "--nonsense")
