"""Workflows in the admin: what each waits for, its journal, and buttons that cancel and run again."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models.signals import pre_save
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from scheduling import Call, clock, functions, scheduler, testing, workflows
from scheduling.admin import workflow_list
from scheduling.models import Batch, Event, Job, JournalEntry, PastAttempt
from tests.scheduling import work
from tests.scheduling.admin import flows
from tests.scheduling.admin.functions import HOSTILE, fine

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_workflow_changelist")
BUDGET, PAGE_BUDGET = 12, 18
LONG = "a long text. " * 1000


@pytest.fixture(autouse=True)
def nothing_said():
    flows.DID.clear()


def page_of(one):
    return reverse("admin:scheduling_workflow_change", args=[one.pk])


def job_page(pk):
    return reverse("admin:scheduling_job_change", args=[pk])


def verb(one, name):
    return reverse("admin:scheduling_workflow_verb", args=[one.pk, name])


def ids(page):
    return [int(found) for found in re.findall(r'class="field-number"><a [^>]*>#(\d+)<', page)]


def row_of(page, one):
    """The row of the list that is one workflow's."""
    return next(row for row in page.split("<tr>") if f'{page_of(one)}">#{one.pk}</a></th>' in row)


def link(page, rel):
    """Where the page of older or newer rows is."""
    return re.search(f'<a href="([^"]*)" rel="{rel}"', page).group(1).replace("&amp;", "&")


def started(workflow, args=None):
    made = workflows.start(workflow, args)
    testing.drain()
    return made


def logged():
    return [entry.change_message for entry in LogEntry.objects.order_by("pk")]


@pytest.fixture
def toured():
    """A workflow with a step of each kind that has ended, and the time in which it did."""
    with testing.clock():
        made = started(flows.tour)
        testing.advance(60)
        testing.advance(86400)
        assert workflows.status(made).waits_for == "event approved"
        testing.advance(3601)
        assert scheduler.get(made.pk).result == "nobody"
        yield made


# The list


def test_the_list_says_what_each_waits_for(viewer):
    with testing.clock():
        made = {
            workflow: started(workflow)
            for workflow in (flows.naps, flows.listens, flows.gathers, flows.parent, flows.later, flows.retries)
        }
        ended, waits = started(flows.three), workflows.start(flows.three)
        (batch,), (naps,) = Batch.objects.all(), Job.objects.filter(parent=made[flows.parent].pk)
        job = Job.objects.get(parent=made[flows.later].pk)
        text = viewer.look(LIST)
    for workflow, words in {
        flows.naps: "the end of its sleep,",
        flows.listens: "the event approved",
        flows.gathers: f'the end of the batch <a href="{reverse("admin:scheduling_batch_change", args=[batch.pk])}">',
        flows.parent: f'the end of flows.naps <a href="{page_of(naps)}">',
        flows.later: f'the end of flows.count <a href="{job_page(job.pk)}">',
        flows.retries: "the next attempt of flows.say,",
    }.items():
        row = row_of(text, made[workflow])
        assert words in row and '<td class="field-came_to">1</td>' in row, workflow
    assert "in 1 d" in row_of(text, made[flows.naps])
    assert "in 10 s" in row_of(text, made[flows.retries])
    assert "a worker" in row_of(text, waits) and '<td class="field-came_to">0</td>' in row_of(text, waits)
    assert '<td class="field-waits"></td>' in row_of(text, ended).replace("&nbsp;", "").replace("-</td>", "</td>")
    assert '<td class="field-came_to">3</td>' in row_of(text, ended)
    assert viewer.queries <= BUDGET


def test_the_list_shows_why_one_failed_and_no_other_jobs(viewer):
    made = started(flows.fails, {"why": "out of luck"})
    scheduler.now(fine)
    testing.drain()
    text = viewer.look(LIST)
    assert "out of luck" in row_of(text, made)
    assert ids(text) == [made.pk]


def test_it_is_filtered_by_state_and_name_and_searched(viewer):
    naps, three = started(flows.naps), started(flows.three)
    assert ids(viewer.look(LIST)) == [three.pk, naps.pk]
    assert ids(viewer.look(LIST, state__exact="success")) == [three.pk]
    assert ids(viewer.look(LIST, workflow="flows.naps")) == [naps.pk]
    assert ids(viewer.look(LIST, workflow="flows.naps", state__exact="success")) == []
    assert ids(viewer.look(LIST, workflow="no such")) == []
    assert ids(viewer.look(LIST, q=f"#{naps.pk}")) == [naps.pk]
    assert ids(viewer.look(LIST, q="flows.three")) == [three.pk]
    for nothing in ("adminwork.fine", "9" * 40, "flows"):
        assert ids(viewer.look(LIST, q=nothing)) == []


def test_its_pages_are_walked_by_key_among_other_jobs(viewer):
    made = []
    for n in range(60):
        made += [workflows.start((flows.naps, flows.three)[n % 2]).pk, workflows.start(flows.listens).pk]
        scheduler.run_after(3600, fine)
    first = viewer.look(LIST)
    assert viewer.queries <= BUDGET
    second = viewer.look(LIST + link(first, "next"))
    assert ids(first) + ids(second) == made[::-1][:100]
    assert ids(viewer.look(LIST + link(second, "prev"))) == made[::-1][:50]
    assert "120 workflows" in first


@pytest.mark.parametrize("params", [{}, {"state__exact": "pending"}, {"workflow": "flows.naps"}])
def test_the_list_goes_by_the_index_over_names(viewer, monkeypatch, params):
    monkeypatch.setattr(workflow_list, "MOST", 100)
    scheduler.bulk([Call(fine)] * 300)
    made = workflows.start(flows.naps)
    with CaptureQueriesContext(connection) as captured:
        assert ids(viewer.look(LIST, **params)) == [made.pk]
    (listed,) = [query["sql"] for query in captured if "UNION ALL" in query["sql"]]
    plan = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(plan + listed)
        said = str(cursor.fetchall())
    journal = "sqlite_autoindex_scheduling_journalentry" if connection.vendor == "sqlite" else "journal_place"
    assert journal in said
    assert connection.vendor == "postgresql" or "job_by_name" in said  # of small tables it may like another better
    assert "SCAN scheduling_job" not in said and "Seq Scan" not in said


# The page


def test_the_page_draws_each_step_and_what_is_within_it(viewer, toured):
    text = viewer.look(page_of(toured))
    assert viewer.queries <= PAGE_BUDGET
    (nested,) = Job.objects.filter(parent=toured.pk, name="flows.child")
    (batch,) = Batch.objects.all()
    (tried,) = Job.objects.filter(parent=toured.pk, name="flows.say")
    for words in (
        "success",
        "<dt>Steps</dt><dd>6</dd>",
        "flows.say: attempt 1 failed after",
        "flows.say: attempt 3: success",
        "gather 3 calls",
        "ValueError: no use",
        "workflow flows.child",
        "sleep 1 d",
        "sleep 1 d: waited 1 d",
        "event approved: waited 1 h",
        f'href="{page_of(nested)}"',
        f'href="{reverse("admin:scheduling_batch_change", args=[batch.pk])}"',
        f'href="{job_page(tried.pk)}"',
        "3 attempts",
        "&quot;word&quot;: &quot;hello&quot;",
        "&quot;HELLO&quot;",
    ):
        assert words in text, words
    drawn = re.findall(r'<tr class="depth-(\d)">(.*?)</tr>', text, re.DOTALL)
    assert [int(depth) for depth, _row in drawn] == [0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0]
    assert all(row.count('<svg class="timeline" role="img" aria-label="') == 1 for _depth, row in drawn)
    bars = re.findall(r"<rect class=\"span[^>]*>(.{7})", text)
    assert bars and set(bars) == {"<title>"}
    assert page_of(toured) in viewer.look(page_of(nested))


def test_a_job_that_waits_for_its_next_attempt_shows_those_that_failed(viewer):
    with testing.clock():
        made = started(flows.tour)
        testing.advance(6)
        (job,) = Job.objects.filter(name="flows.say")
        assert (job.state, job.attempt) == ("pending", 1)
        for state in ("pending", "canceled"):
            text = viewer.look(page_of(made))
            assert "flows.say: attempt 1 failed after" in text, state
            scheduler.cancel(job)


@pytest.mark.parametrize(
    ("workflow", "words"),
    [
        (flows.naps, "It waits for the end of its sleep,"),
        (flows.listens, "It waits for the event approved."),
        (flows.gathers, "It waits for the end of the batch"),
        (flows.retries, "It waits for the next attempt of flows.say,"),
    ],
)
def test_the_page_says_where_it_stands(viewer, workflow, words):
    assert words in viewer.look(page_of(started(workflow)))


def test_one_that_has_not_begun(viewer):
    made = workflows.start(flows.naps)
    text = viewer.look(page_of(made))
    assert "waits for a worker" in text and "It has not come to its first step." in text


def test_a_failed_step_is_shown_with_its_error_and_open(viewer):
    text = viewer.look(page_of(started(flows.fails, {"why": "out of luck"})))
    assert '<details class="attempt" id="step-1">' in text and '<details class="attempt" id="step-2" open>' in text
    assert text.count("ValueError: out of luck") >= 3
    assert "StepFailed" in text


def test_events_that_it_has_not_taken_are_listed(viewer):
    made = started(flows.naps)
    for name, taken in (("early", None), ("old", clock.now())):
        Event.objects.create(name=name, workflow_id=made.pk, sent_at=clock.now(), delivered_at=taken)
    event = Event.objects.get(name="early")
    text = viewer.look(page_of(made))
    assert f'<a href="{reverse("admin:scheduling_event_change", args=[event.pk])}">early</a>' in text
    assert ">old<" not in text


def fill(made, count, *, first=2):
    """Give a workflow many steps more, of each kind in turn: jobs with past attempts, gathers, children, sleeps."""
    now, rows, past = clock.now(), [], []
    jobs = scheduler.bulk([Call(work.noop, run_after=3600)] * (3 * count))
    batches = [Batch(total=2, created_at=now) for _ in range(count)]
    Batch.objects.bulk_create(batches)
    for n in range(count):
        job, call, child = jobs[3 * n : 3 * n + 3]
        Job.objects.filter(pk=call.pk).update(batch=batches[n].pk, batch_place=0)
        Job.objects.filter(pk__in=[job.pk, call.pk]).update(claim=2, attempt=2)
        past += [PastAttempt(job_id=pk, number=1, started_at=now, finished_at=now) for pk in (job.pk, call.pk)]
        done = {"state": "success", "result": n, "started_at": now, "finished_at": now}
        kinds = [
            ("run", {"job_id": job.pk}),
            ("gather", {"batch_id": batches[n].pk}),
            ("workflow", {"job_id": child.pk}),
            ("sleep", {}),
        ]
        for k, (kind, of) in enumerate(kinds):
            rows.append(
                JournalEntry(workflow_id=made.pk, position=first + 4 * n + k, kind=kind, name=f"s{n}", **done, **of)
            )
        rows.append(JournalEntry(workflow_id=child.pk, position=1, kind="run", name="within", **done))
    JournalEntry.objects.bulk_create(rows)
    PastAttempt.objects.bulk_create(past)


def test_the_queries_do_not_grow_with_the_steps(viewer):
    made = started(flows.naps)
    fill(made, 1)
    viewer.look(page_of(made))  # the first look reads a content type
    viewer.look(page_of(made))
    few = viewer.queries
    assert few <= PAGE_BUDGET
    fill(made, 250, first=6)
    text = viewer.look(page_of(made))
    assert viewer.queries == few
    assert "steps 906 to 1005 of 1005" in text
    assert len(text) < 600_000


def test_many_steps_are_paged_and_one_is_led_to(viewer):
    made = started(flows.naps)
    fill(made, 250)
    last = JournalEntry.objects.filter(workflow=made.pk, position=1001)
    last.update(kind="event", name="late", state="waiting", finished_at=None)
    text = viewer.look(page_of(made))
    assert re.findall(r'id="step-(\d+)"', text)[::99] == ["902", "1001"]
    text = viewer.look(link(text, "prev"))
    assert re.findall(r'id="step-(\d+)"', text)[::99] == ["802", "901"]
    assert "It waits for the event late." in text, "the last step of all says it, shown or not"
    text = viewer.look(page_of(made), step="7")
    assert re.findall(r'id="step-(\d+)"', text)[::99] == ["1", "100"]
    assert '<details class="attempt" id="step-7" open>' in text
    for strange in ("x", "-1", "0", "9" * 30, "²"):
        viewer.look(page_of(made), step=strange)
        viewer.look(page_of(made), upto=strange)


def test_what_is_within_a_step_is_bounded_with_a_note(viewer):
    made = started(flows.gathers, {"calls": 23})
    text = viewer.look(page_of(made))
    assert text.count("flows.count #") == 20 and "and 3 more calls" in text
    parent = started(flows.parent)
    (within,) = Job.objects.filter(parent=parent.pk)
    fill(within, 6)
    assert f'<a href="{page_of(within)}">and more steps</a>' in viewer.look(page_of(parent))


def test_what_is_large_is_cut_and_one_step_is_shown_whole(viewer):
    made = started(flows.three)
    JournalEntry.objects.filter(workflow=made.pk, position=2).update(args={"text": LONG}, result=LONG)
    text = viewer.look(page_of(made))
    assert len(text) < 60_000
    whole = f"{page_of(made)}?step=2#step-2"
    assert text.count(f'<a href="{whole}">All of it</a>') == 1
    text = viewer.look(page_of(made), step=2)
    assert text.count(LONG.strip()) == 2 and "All of it" not in text


@pytest.mark.parametrize("padding", ["", LONG])
def test_secrets_are_taken_out_also_of_what_is_cut(viewer, padding):
    made = started(flows.three)
    kept = {"password": "hunter2hunter2", "z": padding}
    JournalEntry.objects.filter(workflow=made.pk, position=1).update(args=kept, result=kept)
    for params in ({}, {"step": 1}):
        text = viewer.look(page_of(made), **params)
        assert "hunter2" not in text and "[removed]" in text


# Links


def test_jobs_lead_to_the_workflow_that_they_are_and_whose_step_they_are(viewer, toured):
    text = viewer.look(job_page(toured.pk))
    assert f'<dt>Workflow</dt><dd><a href="{page_of(toured)}">its steps</a>' in text
    steps = {"flows.say": 2, "flows.broken": 3, "flows.child": 4}
    for job in Job.objects.filter(parent=toured.pk, name__in=steps):
        step = f"{page_of(toured)}?step={steps[job.name]}#step-{steps[job.name]}"
        assert f'<a href="{step}">step {steps[job.name]}</a>' in viewer.look(job_page(job.pk)), job.name
        assert viewer.queries <= BUDGET + 1
    (batch,) = Batch.objects.all()
    assert f"{page_of(toured)}?step=3#step-3" in viewer.look(reverse("admin:scheduling_batch_change", args=[batch.pk]))


def test_other_jobs_and_batches_lead_to_none(viewer):
    job = scheduler.now(fine)
    text = viewer.look(job_page(job.pk))
    assert "<dt>Workflow</dt>" not in text and "<dt>Step of</dt>" not in text


def test_one_whose_function_is_gone_has_its_page_and_is_not_run_again(operator, monkeypatch):
    made = started(flows.three)
    monkeypatch.setattr(functions, "_registry", {**functions._registry})
    functions._registry.pop("flows.three")
    assert ids(operator.look(LIST)) == []
    text = operator.look(page_of(made))
    assert "second" in text
    assert page_of(made) in operator.look(job_page(made.pk))
    assert "no function is registered as" in operator.press(verb(made, "restart")).content.decode()
    assert Job.objects.filter(name="flows.three").count() == 1


def test_a_workflows_job_says_what_it_waits_for_and_is_due_when_it_is_woken(viewer):
    made = started(flows.listens)
    text = viewer.look(job_page(made.pk))
    assert "It waits for the event approved." in text and "<dt>Due</dt><dd>when it is woken</dd>" in text
    assert "9999" not in text and "9999" not in viewer.look(reverse("admin:scheduling_job_changelist"))


def test_a_pause_is_shown_on_its_page(viewer):
    made = started(flows.listens)
    scheduler.pause("flows.listens", "the desk is closed")
    assert "the desk is closed" in viewer.look(page_of(made))


def test_a_job_that_is_none_has_no_such_page(viewer):
    assert viewer.get(page_of(scheduler.now(fine))).status_code == 302


# Verbs


def test_the_button_cancels_with_all_its_steps_and_says_when_it_was_too_late(operator):
    made = started(flows.gathers)
    text = operator.look(page_of(made))
    assert "/do/cancel/" in text and "/do/restart" not in text
    assert "1 canceled." in operator.press(verb(made, "cancel")).content.decode()
    assert set(Job.objects.filter(name="flows.count").values_list("state", flat=True)) == {"canceled"}
    assert scheduler.status(made.pk) == "canceled"
    assert "1 had ended already." in operator.press(verb(made, "cancel")).content.decode()
    assert logged() == ["Canceled."]
    assert "/do/cancel/" not in operator.look(page_of(made))


def test_a_cancel_from_the_page_of_its_job_reaches_its_steps_too(operator):
    made = started(flows.gathers)
    operator.press(reverse("admin:scheduling_job_verb", args=[made.pk, "cancel"]))
    testing.drain()
    assert set(Job.objects.filter(name="flows.count").values_list("state", flat=True)) == {"canceled"}


def test_one_that_has_ended_is_run_again_from_the_top(operator):
    made = started(flows.three, {"n": 5})
    text = operator.press(verb(made, "restart")).content.decode()
    new = Job.objects.get(retry_of=made.pk)
    assert f'1 runs again as <a href="{page_of(new)}">#{new.pk}</a>.' in text
    assert f'<dt>Run again as</dt><dd><a href="{page_of(new)}">' in text
    testing.drain()
    assert scheduler.get(new.pk).result == 8
    assert flows.DID == ["first", "second", "third"] * 2
    assert logged() == [f"Run again as #{new.pk}."]
    assert f'<dt>Runs again</dt><dd><a href="{page_of(made)}">' in operator.look(page_of(new))


@pytest.mark.parametrize("step", ["third", "3"])
def test_it_is_run_again_from_a_step_that_the_form_asks_for(operator, step):
    made = started(flows.three, {"n": 5})
    JournalEntry.objects.filter(workflow=made.pk, position=2).update(result=100)
    asked = operator.press(verb(made, "restart_from")).content.decode()
    assert '<option value="3">third, success</option>' in asked and "Say from which step" not in asked
    assert not Job.objects.filter(retry_of=made.pk).exists()
    operator.press(verb(made, "restart_from"), from_step=step)
    new = Job.objects.get(retry_of=made.pk)
    testing.drain()
    assert scheduler.get(new.pk).result == 101, "what the steps before gave is as it was"
    assert logged() == [f"Run again as #{new.pk} from step {step}."]
    text = operator.look(page_of(new))
    kept = f'as it was in <a href="{page_of(made)}">#{made.pk}</a></span>'
    assert text.count(f'<td class="wide-bar"><span class="quiet">{kept}') == 2


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("", "Say from which step."),
        ("0", "Its steps are numbered from 1 to 3."),
        ("4", "Its steps are numbered from 1 to 3."),
        ("9" * 50, "Its steps are numbered from 1 to 3."),
        ("fourth", "No step of it has this name."),
        (HOSTILE, "No step of it has this name."),
        ("x" * 300, "at most 200 characters"),
    ],
)
def test_a_step_that_is_not_there_is_refused(operator, step, words):
    made = started(flows.three)
    text = operator.press(verb(made, "restart_from"), from_step=step).content.decode()
    assert words in text and "<script>alert" not in text
    assert not Job.objects.filter(retry_of=made.pk).exists() and logged() == []


def test_each_step_of_the_journal_has_a_button_that_runs_from_it(operator, viewer):
    made = started(flows.three)
    button = f'formaction="{verb(made, "restart_from")}" name="from_step" value="2"'
    assert button in operator.look(page_of(made))
    assert button not in viewer.look(page_of(made))


def test_one_that_has_not_ended_is_not_run_again(operator):
    made = started(flows.naps)
    assert "1 had not ended." in operator.press(verb(made, "restart")).content.decode()
    assert "cancel it first" in operator.press(verb(made, "restart_from"), from_step="1").content.decode()
    assert not Job.objects.filter(retry_of=made.pk).exists() and logged() == []
    assert "from_step" not in operator.look(page_of(made))


def test_the_list_has_actions_for_many(operator):
    made = [started(flows.three).pk for _ in range(7)]
    naps = started(flows.naps).pk
    post = {"action": "restart", "_selected_action": [*made, naps], "index": 0}
    text = operator.press(LIST, **post).content.decode()
    assert "7 run again as " in text and ", …, 1 had not ended." in text
    assert Job.objects.filter(retry_of__in=made).count() == 7
    post = {"action": "cancel", "_selected_action": [naps, *made], "index": 0}
    assert "1 canceled, 7 had ended already." in operator.press(LIST, **post).content.decode()
    assert "restart_from" not in operator.look(LIST)


@pytest.mark.parametrize(("name", "data"), [("cancel", {}), ("restart", {}), ("restart_from", {"from_step": "2"})])
def test_a_deed_and_its_entry_in_the_log_are_one(operator, name, data):
    made = started(flows.naps if name == "cancel" else flows.three)
    before = list(Job.objects.order_by("pk").values_list("pk", "state"))

    def refuse(**_given):
        raise RuntimeError("the disk is full")

    pre_save.connect(refuse, sender=LogEntry)
    try:
        with pytest.raises(RuntimeError, match="the disk is full"):
            operator.post(verb(made, name), data)
    finally:
        pre_save.disconnect(refuse, sender=LogEntry)
    assert list(Job.objects.order_by("pk").values_list("pk", "state")) == before


@pytest.mark.parametrize(
    ("name", "permission", "workflow", "data"),
    [
        ("cancel", "cancel_job", flows.naps, {}),
        ("restart", "retry_job", flows.three, {}),
        ("restart_from", "retry_job", flows.three, {"from_step": "2"}),
    ],
)
def test_each_takes_a_permission_a_post_and_a_token(viewer, as_user, name, permission, workflow, data):
    made = started(workflow)
    url = verb(made, name)
    before = Job.objects.count(), scheduler.status(made.pk)
    other = {"cancel_job", "retry_job"} - {permission}
    for browser in (viewer, as_user("other", "view_workflow", *other), as_user("blind", permission)):
        assert browser.post(url, data).status_code == 403
    assert f"/do/{name}/" not in viewer.look(page_of(made))
    right = as_user("right", "view_workflow", permission)
    assert right.get(url).status_code == 405
    right.handler.enforce_csrf_checks = True
    assert right.post(url, data).status_code == 403
    right.handler.enforce_csrf_checks = False
    assert (Job.objects.count(), scheduler.status(made.pk)) == before and logged() == []
    assert right.post(url, data).status_code == 302
    assert (Job.objects.count(), scheduler.status(made.pk)) != before
    assert LogEntry.objects.get().user.username == "right"


def test_the_pages_are_for_those_who_may_see_them(as_user):
    made = started(flows.three)
    nobody = as_user("nobody", "view_job", "cancel_job", "retry_job")
    assert nobody.get(LIST).status_code == 403
    assert nobody.get(page_of(made)).status_code == 403
    assert LIST not in nobody.look(reverse("admin:index"))
    assert LIST in as_user("somebody", "view_workflow").look(reverse("admin:index"))


def test_nothing_is_added_changed_or_deleted(admin_client):
    made = started(flows.three)
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page_of(made), {"name": "x"}).status_code == 403
    assert admin_client.post(page_of(made).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403


def test_everything_is_escaped(operator, toured):
    now = clock.now()
    jobs = Job.objects.filter(parent=toured.pk)
    jobs.update(error=HOSTILE, name=HOSTILE[:200])
    journal = JournalEntry.objects.filter(workflow__in=[toured.pk, *jobs.values_list("pk", flat=True)], position__gt=0)
    journal.update(name=HOSTILE[:200], error=HOSTILE, args={HOSTILE: HOSTILE}, result=HOSTILE)
    again = workflows.restart(toured.pk, from_step=3)
    hostile = {"error": HOSTILE, "args": {HOSTILE: HOSTILE}, "result": HOSTILE, "key": HOSTILE, "on_complete": HOSTILE}
    Job.objects.filter(pk=toured.pk).update(**hostile, state="failed")
    Event.objects.create(name=HOSTILE[:200], workflow_id=toured.pk, sent_at=now)
    Job.objects.filter(pk=again.pk).update(state="pending", run_at=now + timedelta(days=1))
    JournalEntry.objects.filter(workflow=again.pk, position=2).update(state="waiting", kind="event", finished_at=None)
    for url in (LIST, page_of(toured), page_of(again), *(job_page(pk) for pk in jobs.values_list("pk", flat=True))):
        text = operator.look(url)
        assert "<script>alert" not in text and "<img src=x" not in text
        assert "&lt;script&gt;alert(1)" in text, url
    for text in (operator.press(verb(toured, "restart_from")), operator.press(verb(toured, "restart"))):
        assert "<script>alert" not in text.content.decode()
