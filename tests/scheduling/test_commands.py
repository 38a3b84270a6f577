"""The commands: jobs, crons and pools."""

from __future__ import annotations

import io
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import modify_settings

from scheduling import crons, pools, retrier, scheduler, testing
from scheduling.cluster import rescue
from scheduling.management import output
from scheduling.models import Job, Pause, Pool, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take as take_one
from tests.scheduling.second import Elsewhere, on_the_test_database
from tests.scheduling.test_executor import take

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    with testing.clock(START) as clock:
        yield clock


def run(*arguments, **streams):
    """What a command wrote: (stdout, stderr)."""
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err, **streams)
    return out.getvalue(), err.getvalue()


def as_json(*arguments):
    """The one JSON document of a command that says nothing else."""
    out, err = run(*arguments, "--json")
    assert err == ""
    assert out.count("\n") == 1
    return json.loads(out)


def refused(code, *arguments):
    """The message of a command that ends with an exit code."""
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert caught.value.returncode == code
    return str(caught.value)


class Terminal(io.StringIO):
    def isatty(self):
        return True


# jobs


def test_jobs_list(clock, drain):
    first = scheduler.now(work.noop, {"n": 1})
    drain()
    failed = scheduler.now(work.flaky, retry=False)
    drain()
    later = scheduler.run_after(7200, work.noop, {"n": 3})
    out, err = run("jobs", "list")
    header, *rows = out.splitlines()
    assert header.split() == ["ID", "FUNCTION", "STATE", "ATTEMPT", "WHEN", "ARGUMENTS"]
    assert [row.split()[:3] for row in rows] == [
        [str(later.id), "work.noop", "pending"],
        [str(failed.id), "work.flaky", "failed"],
        [str(first.id), "work.noop", "success"],
    ]
    assert "2026-05-01 14:00:00Z (in 2 h)" in rows[0]
    assert rows[1].endswith("ValueError: flaky")
    assert err == "3 jobs\n"


def test_jobs_list_as_json(clock):
    job = scheduler.now(work.noop, {"n": 1}, priority=3)
    (found,) = as_json("jobs", "list")
    assert (found["id"], found["name"], found["state"], found["args"]) == (job.id, "work.noop", "pending", {"n": 1})
    assert found["run_at"] == "2026-05-01T12:00:00+00:00"
    assert found["finished_at"] is None


def test_jobs_list_by_state_function_cron_and_limit(clock):
    crons.register("c", 60, work.noop)
    made = crons.run_now("c")
    jobs = [scheduler.now(work.add, {"a": n}) for n in range(3)]
    scheduler.cancel(jobs[0])

    def ids(*options):
        return [job["id"] for job in as_json("jobs", "list", *options)]

    assert ids("--limit", "2") == [jobs[2].id, jobs[1].id]
    assert ids("--function", "work.add", "--state", "pending") == [jobs[2].id, jobs[1].id]
    assert ids("--state", "canceled") == [jobs[0].id]
    assert ids("--cron", "c") == [made.id]
    assert ids("--function", "work.talk") == []


def test_jobs_list_takes_few_queries(django_assert_max_num_queries):
    for n in range(5):
        scheduler.now(work.noop, {"n": n})
    with django_assert_max_num_queries(3):
        run("jobs", "list", "--function", "work.noop")


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "list", "--function", "work.nothing"),
        ("jobs", "list", "--cron", "nothing"),
        ("jobs", "show", "12345"),
        ("jobs", "cancel", "12345"),
        ("jobs", "retry", "12345"),
        ("jobs", "explain", "12345"),
        ("jobs", "pause", "--function", "nothing"),
        ("jobs", "resume", "--function", "nothing"),
        ("jobs", "pause", "--everything", "--until", "2020-01-01T00:00Z"),
        ("pools", "pause", "nothing"),
        ("pools", "resume", "nothing"),
        ("pools", "set", "nothing", "--max", "3"),
        ("pools", "set", "exchange", "--max", "-1"),
        ("crons", "run", "nothing"),
        ("crons", "pause", "nothing"),
        ("crons", "resume", "nothing"),
        ("crons", "preview", "nothing"),
        ("crons", "preview", "--schedule", "* * * * * *"),
        ("crons", "preview", "--schedule", "* * * * *", "--timezone", "Mars"),
        ("crons", "preview"),
        ("crons", "preview", "x", "--schedule", "60"),
    ],
)
def test_unknown_names_and_ids_are_wrong_use(arguments):
    assert refused(2, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs",),
        ("jobs", "dance"),
        ("jobs", "list", "--state", "tired"),
        ("jobs", "list", "--limit", "0"),
        ("jobs", "list", "--limit", "-1"),
        ("jobs", "show", "twelve"),
        ("jobs", "cancel"),
        ("jobs", "pause"),
        ("jobs", "pause", "--everything", "--function", "work.noop"),
        ("jobs", "pause", "--everything", "--until", "tomorrow"),
        ("jobs", "pause", "--everything", "--until", "2030-01-01T00:00"),
        ("pools", "set", "exchange"),
        ("pools", "set", "exchange", "--max", "many"),
        ("crons", "run", "c", "--args", "[1]"),
        ("crons", "run", "c", "--args", "{nonsense"),
        ("crons", "preview", "--schedule", "60", "-n", "0"),
        ("qcluster", "--pools", "a b"),
        ("qcluster", "--pools", "a,"),
        ("qcluster", "--workers", "0"),
        ("qcluster", "--workers", "-1"),
        ("qcluster", "--workers", "two"),
    ],
)
def test_what_cannot_be_parsed_is_refused(arguments):
    with pytest.raises(CommandError):
        run(*arguments)


def test_jobs_show(clock, random, drain, advance):
    random(0.5)
    job = retrier.run(work.talk, {"lines": ["hello"], "fail": True}, initial_backoff=5, max_failures=1)
    drain()
    advance(5)
    out, err = run("jobs", "show", str(job.id))
    assert err == ""
    assert "state:          failed" in out
    assert "created_at:     2026-05-01 12:00:00Z (5 s ago)" in out
    assert "attempt 1: began 2026-05-01 12:00:00Z (5 s ago), took 0.000 s" in out
    assert out.count("ValueError: after all that") == 2
    assert out.count("tests.work hello") == 2
    found = as_json("jobs", "show", str(job.id))
    assert [attempt["number"] for attempt in found["attempts"]] == [1, 2]
    assert found["error"] == found["attempts"][1]["error"]
    assert found["policy"]["retry"]["initial_backoff"] == 5


def test_jobs_show_gives_results(drain):
    job = scheduler.now(work.add, {"a": 2})
    drain()
    assert as_json("jobs", "show", str(job.id))["result"] == 3
    assert "result:         3\n" in run("jobs", "show", str(job.id))[0]


def test_jobs_cancel(drain):
    jobs = [scheduler.now(work.noop) for _ in range(2)]
    ids = [str(job.id) for job in jobs]
    assert as_json("jobs", "cancel", ids[0]) == [{"id": jobs[0].id, "canceled": True}]
    assert "not all were canceled" in refused(1, "jobs", "cancel", *ids)
    assert [scheduler.status(id) for id in ids] == ["canceled", "canceled"]


def test_jobs_cancel_of_an_unknown_id_cancels_none():
    job = scheduler.now(work.noop)
    assert "99999" in refused(2, "jobs", "cancel", str(job.id), "99999")
    assert scheduler.status(job.id) == State.PENDING


def test_jobs_retry(drain):
    done, waiting = scheduler.now(work.noop, {"n": 1}), scheduler.run_after(60, work.noop)
    drain()
    ((answer),) = as_json("jobs", "retry", str(done.id))
    assert scheduler.get(answer["job"]).retry_of_id == done.id
    assert "not all" in refused(1, "jobs", "retry", str(done.id), str(waiting.id))
    assert Job.objects.filter(retry_of=done).count() == 2


@pytest.mark.django_db(transaction=True)
def test_jobs_tail_follows_what_starts_and_ends():
    running = scheduler.now(work.noop, {"n": 1})
    take(running)
    out = io.StringIO()
    tail = Elsewhere(lambda: call_command("jobs", "tail", "--json", "--seconds", "1.2", stdout=out))
    until(lambda: out.getvalue().count("\n") == 1, 10)
    done = scheduler.now(work.add, {"a": 1})
    testing.drain()
    scheduler.cancel(running)
    tail.result()
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(event["event"], event["id"]) for event in events if event["event"] != "started"] == [
        ("success", done.id),
        ("canceled", running.id),
    ]
    assert (events[0]["event"], events[0]["id"]) == ("started", running.id)


def test_jobs_tail_shows_nothing_of_the_past(drain):
    scheduler.now(work.noop)
    drain()
    assert run("jobs", "tail", "--seconds", "0")[0] == ""


def test_jobs_explain(clock):
    job = scheduler.run_after(60, work.noop)
    out, err = run("jobs", "explain", str(job.id))
    assert (out.splitlines()[0], err) == ("It is not due until 2026-05-01 12:01:00Z (in 1 min).", "")
    assert as_json("jobs", "explain", str(job.id)) == {"id": job.id, "reasons": scheduler.explain(job)}


def test_jobs_pause_and_resume_a_function(clock):
    until = "2026-05-01T18:00+02:00"
    out, err = run("jobs", "pause", "--function", "work.noop", "--reason", "moving house", "--until", until)
    assert (out, err) == ("", "work.noop: paused\n")
    pause = Pause.objects.get()
    assert (pause.kind, pause.name, pause.reason) == ("function", "work.noop", "moving house")
    assert pause.until == datetime(2026, 5, 1, 16, tzinfo=UTC)
    assert as_json("jobs", "resume", "--function", "work.noop") == {"function": "work.noop", "state": "resumed"}
    assert not Pause.objects.exists()
    assert "is not paused" in refused(1, "jobs", "resume", "--function", "work.noop")


def test_jobs_pause_and_resume_everything():
    assert as_json("jobs", "pause", "--everything") == {"function": None, "state": "paused"}
    assert Pause.objects.get().kind == "everything"
    assert run("jobs", "resume", "--everything")[1] == "everything: resumed\n"
    assert not Pause.objects.exists()


# pools


def test_pools_list(clock):
    Pool.objects.all().delete()
    pools.define("exchange", 2)
    pools.define("keyed", 1, key="n")
    pools.pause("keyed", "it is down", START + timedelta(hours=1))
    scheduler.now(work.noop, pool="exchange")
    take_one(rescue.register(1, os.getpid()))
    out, err = run("pools", "list")
    header, first, second = out.splitlines()
    assert header.split() == ["NAME", "STATE", "RUN", "OF", "FOR", "EACH", "NOTE"]
    assert first.split() == ["exchange", "active", "1", "2"]
    assert second.split()[:5] == ["keyed", "paused", "0", "1", "n"]
    assert "until 2026-05-01 13:00:00Z (in 1 h) it is down" in second
    assert err == "2 pools\n"
    found = as_json("pools", "list")
    assert [(pool["name"], pool["state"], pool["running"], pool["max_parallelism"]) for pool in found] == [
        ("exchange", "active", 1, 2),
        ("keyed", "paused", 0, 1),
    ]
    assert found[1]["paused_until"] == "2026-05-01T13:00:00+00:00"


def test_pools_pause_and_resume():
    pools.define("exchange")
    assert as_json("pools", "pause", "exchange", "--reason", "it is down")["state"] == "paused"
    assert Pause.objects.get().reason == "it is down"
    assert run("pools", "resume", "exchange") == ("", "exchange: resumed\n")
    assert not Pause.objects.exists()
    assert "is not paused" in refused(1, "pools", "resume", "exchange")


def test_pools_set_is_an_operators_change():
    pools.define("exchange", 3)
    assert as_json("pools", "set", "exchange", "--max", "7")["max_parallelism"] == 7
    pools.define("exchange", 3)
    assert pools.get("exchange").max_parallelism == 7, "kept until the code says something else"
    pools.define("exchange", 4)
    assert pools.get("exchange").max_parallelism == 4


# crons


def test_crons_list(clock):
    crons.register("a", 60, work.noop)
    crons.register("b", "0 2 * * *", work.noop, timezone="Europe/Berlin")
    crons.pause("b", "on holiday")
    out, err = run("crons", "list")
    _header, first, second = out.splitlines()
    assert "active" in first and "every minute" in first and "2026-05-01 12:01:00Z (in 1 min)" in first
    assert "paused" in second and "at 02:00 every day (Europe/Berlin)" in second and "on holiday" in second
    assert err == "2 crons\n"
    found = as_json("crons", "list")
    assert [(cron["name"], cron["state"], cron["note"]) for cron in found] == [
        ("a", "active", ""),
        ("b", "paused", "on holiday"),
    ]
    assert found[0]["next_tick_at"] == "2026-05-01T12:01:00+00:00"
    assert (found[0]["spec"], found[0]["function"], found[0]["declared"]) == ("60", "work.noop", False)


def test_crons_run():
    crons.register("c", 60, work.noop, {"n": 1})
    job = as_json("crons", "run", "c", "--args", '{"n": 5}')["job"]
    assert scheduler.get(job).args == {"n": 5}
    assert "has not ended, and its overlap rule is skip" in refused(1, "crons", "run", "c")


def test_crons_run_refuses_wrong_arguments():
    crons.register("c", 60, work.noop)
    assert "m: Extra inputs" in refused(2, "crons", "run", "c", "--args", '{"m": 5}')


def test_crons_pause_and_resume(clock, advance):
    crons.register("c", 60, work.noop, catch_up="all")
    assert as_json("crons", "pause", "c", "--reason", "moving")["note"] == "moving"
    assert crons.get("c").paused
    clock.jump(150)
    out, err = run("crons", "resume", "c")
    assert out == ""
    assert err == "c: resumed, next at 2026-05-01 12:03:00Z (in 30 s)\n"
    crons.pause("c")
    clock.jump(60)
    run("crons", "resume", "c", "--run-missed")
    assert len(advance(0)) == 1


def test_crons_show(clock):
    crons.register("c", 60, work.noop, {"n": 1}, jitter=5, timeout=7, alert_after=3, fresh_within=600, retry=False)
    said = as_json("crons", "show", "c")
    options = ("jitter", "timeout", "alert_after", "fresh_within", "retry")
    assert [said[option] for option in options] == [5, 7, 3, 600, False]
    assert as_json("crons", "list") == [said]
    lines = run("crons", "show", "c")[0].splitlines()
    assert "name:         c" in lines and "jitter:       5.0" in lines and "alert_after:  3" in lines
    assert "next_tick_at: 2026-05-01 12:01:00Z (in 1 min)" in lines
    assert not any(line.startswith("paused_until") for line in lines)


def test_crons_pause_until(clock, advance):
    crons.register("c", 60, work.noop)
    _out, err = run("crons", "pause", "c", "--reason", "moving", "--until", "2026-05-01T14:02:30+02:00")
    assert err == "c: paused until 2026-05-01 12:02:30Z (in 2 min)\n"
    assert as_json("crons", "show", "c")["paused_until"] == "2026-05-01T12:02:30+00:00"
    assert [job.scheduled_for.minute for job in advance(200)] == [3]
    assert "a pause ends in the future" in refused(2, "crons", "pause", "c", "--until", "2026-05-01T12:00Z")
    assert "like 2026-05-01T12:00Z" in refused(1, "crons", "pause", "c", "--until", "2026-05-01T12:00")
    assert "a time like 2026-05-01T00:00Z, not 'noon'" in refused(1, "crons", "pause", "c", "--until", "noon")


SPAN = ("--from", "2026-05-01T11:00Z", "--to", "2026-05-01T11:03Z")


def test_crons_backfill_dry(clock):
    crons.register("c", "* * * * *", work.noop)
    out, err = run("crons", "backfill", "c", *SPAN, "--dry-run")
    assert out.splitlines() == [f"2026-05-01 11:0{n}:00Z" for n in range(3)]
    assert err == "c: 3 runs would be made\n"
    found = as_json("crons", "backfill", "c", "--from", "2026-05-01T11:58Z", "--dry-run")
    assert found == {"cron": "c", "instants": ["2026-05-01T11:58:00+00:00", "2026-05-01T11:59:00+00:00"], "jobs": []}
    assert not Job.objects.exists()


def test_crons_backfill(clock):
    crons.register("c", "* * * * *", work.noop)
    made = as_json("crons", "backfill", "c", *SPAN, "--concurrency", "2")
    jobs = list(Job.objects.order_by("pk"))
    assert made["jobs"] == [job.pk for job in jobs]
    assert made["instants"] == [job.scheduled_for.isoformat() for job in jobs]
    assert [job.waits_for_id for job in jobs] == [None, None, jobs[0].pk]
    assert run("crons", "backfill", "c", *SPAN)[1] == "c: 0 runs made\n"
    assert as_json("crons", "backfill", "c", *SPAN, "--wait")["states"] == {}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [  # what argparse itself refuses ends a real command with 2, and raises with 1 here
        (("c", "--from", "2026-05-01"), 1, "a time with its offset, like 2026-05-01T00:00Z"),
        (("c", "--to", "2026-05-01T00:00Z"), 1, "required: --from"),
        (("c", *SPAN, "--concurrency", "0"), 1, "a whole number from 1 to 10,000"),
        (("nothing", *SPAN), 2, "no cron is named 'nothing'"),
        (("c", "--from", "2026-05-01T00:00Z", "--to", "2026-05-01T00:00Z"), 2, "to a later one"),
        (("c", "--from", "2025-05-01T00:00Z"), 2, "has more than 10,000 ticks"),
    ],
)
def test_crons_backfill_refuses_nonsense(clock, arguments, code, says):
    crons.register("c", "* * * * *", work.noop)
    assert says in refused(code, "crons", "backfill", *arguments)
    assert not Job.objects.exists()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_crons_backfill_waits_and_fails_where_a_run_fails(cluster):
    crons.register("c", "0 * * * *", work.noop)
    crons.register("d", "0 * * * *", work.flaky, retry=False)
    cluster(workers=1, modules=[work.WORK])
    span = ("--from", f"{testing.clock.now() - timedelta(hours=3):%Y-%m-%dT%H:%M}Z", "--wait", "--concurrency", "2")
    _out, err = run("crons", "backfill", "c", *span)
    assert err.endswith("3 success\n")
    assert as_json("crons", "backfill", "c", *span)["jobs"] == []
    assert "not all have succeeded: 3 failed" in refused(1, "crons", "backfill", "d", *span)


def test_crons_sync(clock):
    with modify_settings(INSTALLED_APPS={"append": "tests.scheduling.declaring"}):
        from tests.scheduling.declaring.crons import crons as declared

        declared.interval("a", 60, work.noop)
        try:
            assert "a" in as_json("crons", "sync", "--only-add")["added"]
            assert as_json("crons", "sync") == {"added": [], "changed": [], "retired": []}
            declared.declared.clear()
            assert run("crons", "sync")[1] == "added: none\nchanged: none\nretired: a\n"
        finally:
            declared.declared.clear()


def test_crons_preview_of_a_schedule(clock):
    arguments = ("crons", "preview", "--schedule", "30 14 * * *", "--timezone", "Europe/Berlin", "-n", "2")
    assert as_json(*arguments) == ["2026-05-01T14:30:00+02:00", "2026-05-02T14:30:00+02:00"]
    assert run(*arguments)[0].splitlines() == [
        "2026-05-01 14:30:00+02:00  in 30 min",
        "2026-05-02 14:30:00+02:00  in 1 d",
    ]


def test_crons_preview_of_a_cron_goes_by_its_own_anchor(clock):
    crons.register("c", 3600, work.noop)
    clock.jump(1800)
    assert as_json("crons", "preview", "c", "-n", "1") == ["2026-05-01T13:00:00+00:00"]


def test_crons_preview_of_a_broken_row_is_a_failure():
    cron = crons.register("c", 60, work.noop)
    type(cron).objects.update(spec="nonsense")
    assert "c is broken" in refused(1, "crons", "preview", "c")
    assert "nonsense" in run("crons", "list")[0]


# How they look


def test_on_a_terminal_tables_are_framed_and_coloured_and_elsewhere_plain(drain):
    scheduler.now(work.noop)
    drain()
    terminal = Terminal()
    call_command("jobs", "list", stdout=terminal, stderr=io.StringIO())
    assert "\x1b[32m" in terminal.getvalue()
    assert "\x1b" not in run("jobs", "list")[0]
    plain = Terminal()
    call_command("jobs", "list", stdout=plain, stderr=io.StringIO(), no_color=True)
    assert "\x1b" not in plain.getvalue()


def test_control_characters_of_jobs_do_nothing_to_the_terminal(drain):
    nasty = "\x1b[2J\r\0\ud800 [red]"
    job = scheduler.now(work.talk, {"lines": [nasty], "fail": True})
    Job.objects.filter(pk=job.pk).update(on_complete="\x1b[2J")
    drain()
    for arguments in (("jobs", "list"), ("jobs", "show", str(job.id))):
        out = run(*arguments)[0]
        assert "\x1b" not in out and "\r" not in out
        out.encode()
    terminal = Terminal()
    call_command("jobs", "list", stdout=terminal, stderr=io.StringIO())
    assert "\x1b[2J" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (0.4, "now"),
        (-59, "59 s ago"),
        (60, "in 1 min"),
        (-3600 * 5, "5 h ago"),
        (86400 * 400, "in 400 d"),
    ],
)
def test_relative_times(seconds, words):
    assert output.relative(START + timedelta(seconds=seconds), START) == words


@pytest.mark.parametrize("command", ["jobs", "crons"])
def test_help_has_examples_for_each_verb(command):
    from django.core.management import load_command_class

    parser = load_command_class("scheduling", command).create_parser("manage.py", command)
    assert f"manage.py {command} list" in parser.format_help()
    for verb, sub in parser._subparsers._group_actions[0].choices.items():
        assert f"manage.py {command} {verb}" in sub.format_help()


def test_help_of_the_cluster_names_its_options():
    from django.core.management import load_command_class

    words = load_command_class("scheduling", "qcluster").create_parser("manage.py", "qcluster").format_help()
    assert "--pools" in words and "--workers" in words
    assert "SIGTERM" in words


@pytest.mark.django_db(transaction=True)
def test_exit_codes_of_the_real_thing():
    job = scheduler.now(work.noop)
    scheduler.cancel(job)

    def code(*arguments):
        done = on_the_test_database(["manage.py", *arguments])
        return done.returncode, done.stdout, done.stderr

    processes = [
        Elsewhere(lambda arguments=arguments: code(*arguments))
        for arguments in (
            ("jobs", "list", "--json"),
            ("jobs", "cancel", str(job.id)),
            ("jobs", "show", "99999"),
            ("crons", "nonsense"),
            ("qcluster", "--pools", "a b"),
        )
    ]
    done, failed, unknown, wrong, cluster = [process.result() for process in processes]
    assert (done[0], json.loads(done[1])[0]["state"], done[2]) == (0, "canceled", "")
    assert (failed[0], failed[1]) == (1, "")
    assert "not all were canceled" in failed[2]
    assert (unknown[0], unknown[1]) == (2, "")
    assert "no job has the id 99999" in unknown[2]
    assert wrong[0] == 2
    assert "invalid choice" in wrong[2]
    assert (cluster[0], cluster[1]) == (2, "")
    assert "a pool's name is" in cluster[2]
