"""Events in the admin: what was sent, to whom, and what each has started."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from scheduling import Call, clock, events, mutation, on_event, scheduler, testing, workflows
from scheduling.models import Event, EventDelivery, Job
from tests.scheduling.admin import flows
from tests.scheduling.admin.functions import HOSTILE, fine

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_event_changelist")
BUDGET = 12


def page_of(event):
    return reverse("admin:scheduling_event_change", args=[event.pk])


def ids(page):
    return [int(found) for found in re.findall(r'class="field-number"><a [^>]*>#(\d+)<', page)]


def row_of(page, event):
    """The row of the list that is one event's."""
    return next(row for row in page.split("<tr>") if f'{page_of(event)}">#{event.pk}</a></th>' in row)


def sent(name="market.resolved", **more):
    given = {"sent_at": clock.now(), "delivered_at": clock.now()} | more
    return Event.objects.create(name=name, **given)


def deliver(event, function, state="started", **more):
    return EventDelivery.objects.create(event=event, binding=f"{event.name}>{function}", state=state, **more)


def test_the_list_counts_what_each_has_started(viewer):
    many, none, fresh = sent(given_id="order-7"), sent("nobody.listens"), sent(delivered_at=None)
    for n in range(3):
        deliver(many, f"app.first{n}", job_id=scheduler.now(fine).pk)
    deliver(many, "app.second", "skipped", note="over its rate")
    deliver(many, "app.third", "refused", note="market_id: a number")
    text = viewer.look(LIST)
    assert "3 started, 1 skipped, 1 refused" in row_of(text, many) and "order-7" in row_of(text, many)
    assert "all that listen" in row_of(text, many)
    assert "nothing" in row_of(text, none) and "not handed on yet" in row_of(text, fresh)
    assert ids(text) == [fresh.pk, none.pk, many.pk]
    assert viewer.queries <= BUDGET


def test_events_to_a_workflow_lead_to_it(viewer):
    made = workflows.start(flows.listens)
    waits, taken = sent("approved", workflow_id=made.pk, delivered_at=None), sent("approved", workflow_id=made.pk)
    link = f'<a href="{reverse("admin:scheduling_workflow_change", args=[made.pk])}">#{made.pk}</a>'
    text = viewer.look(LIST)
    assert link in row_of(text, waits) and "not taken yet" in row_of(text, waits)
    assert "taken" in row_of(text, taken) and "not taken yet" not in row_of(text, taken)
    text = viewer.look(page_of(waits))
    assert link in text and "not taken yet" in text and "What it started" not in text


def test_the_queries_do_not_grow_with_the_events(viewer):
    deliver(sent(), "app.first")
    viewer.look(LIST)
    few = viewer.queries
    for _ in range(49):
        event = sent()
        for n in range(5):
            deliver(event, f"app.f{n}", ("started", "waiting", "replaced", "skipped", "refused")[n])
    text = viewer.look(LIST)
    assert viewer.queries == few
    assert text.count("1 started, 1 waiting, 1 replaced, 1 skipped, 1 refused") == 49


def test_its_pages_are_walked_by_key(viewer):
    made = [sent().pk for _ in range(70)]
    first = viewer.look(LIST)
    older = re.search('<a href="([^"]*)" rel="next"', first).group(1)
    assert ids(first) + ids(viewer.look(LIST + older)) == made[::-1]


def test_one_is_found_by_number_name_and_a_recent_id(viewer):
    first, second = sent(given_id="order-7", holds_id="order-7"), sent("order.placed")
    for term, found in {f"#{first.pk}": first, "order-7": first, "order.placed": second}.items():
        assert ids(viewer.look(LIST, q=term)) == [found.pk], term
    for nothing in ("order", "9" * 40):
        assert ids(viewer.look(LIST, q=nothing)) == []


def test_the_page_of_one_says_all_of_it(viewer):
    event = sent(given_id="order-7", data={"market": 12, "api_key": "b7c1b7c1b7c1"}, sent_at=clock.now() - timedelta(1))
    job, gone = scheduler.now(fine), scheduler.now(fine)
    testing.drain()
    deliver(event, "app.first", job_id=job.pk)
    deliver(event, "app.second", "waiting", key="12", note="with 3 others")
    deliver(event, "app.third", "refused", note="market: not a text")
    deliver(event, "app.gone", job_id=gone.pk)
    Job.objects.filter(pk=gone.pk).delete()
    text = viewer.look(page_of(event))
    assert viewer.queries <= BUDGET
    for words in (
        "<dd>order-7</dd>",
        "1 d ago",
        "&quot;market&quot;: 12",
        "[removed]",
        '<td class="name">app.first</td>',
        f'<a href="{reverse("admin:scheduling_job_change", args=[job.pk])}">#{job.pk}</a>',
        "with 3 others",
        "market: not a text",
        f"#{gone.pk}, removed since",
        "badge-failed",
    ):
        assert words in text, words
    assert "b7c1" not in text


def test_what_real_events_have_started_is_shown(viewer, registry):
    @on_event("shelf.empty")
    @mutation(name="event_pages.order")
    def order(data: int) -> int:
        return data

    fits, odd = events.send("shelf.empty", 7, id="shelf-7"), events.send("shelf.empty", "no number")
    made = workflows.start(flows.listens)
    testing.drain()
    to_it = events.send("approved", "yes", workflow=made)
    testing.drain()
    text = viewer.look(LIST)
    assert "1 started" in row_of(text, fits) and "1 refused" in row_of(text, odd)
    assert "not taken yet" not in row_of(text, to_it) and "taken" in row_of(text, to_it)
    job = Job.objects.get(name="event_pages.order")
    text = viewer.look(page_of(fits))
    assert '<td class="name">event_pages.order</td>' in text and f">#{job.pk}</a>" in text and "shelf-7" in text
    assert "data" in viewer.look(page_of(odd)) and "badge-failed" in viewer.look(page_of(odd))


def test_one_that_nothing_listens_to_and_one_that_is_not_handed_on(viewer):
    assert "Nothing is bound to its name." in viewer.look(page_of(sent()))
    assert "It has not been handed on yet." in viewer.look(page_of(sent(delivered_at=None)))


def test_many_deliveries_are_cut_with_a_note_and_take_no_more_queries(viewer):
    event = sent()
    jobs = scheduler.bulk([Call(fine)] * 130)
    deliver(event, "app.f", job_id=jobs[0].pk)
    viewer.look(page_of(event))
    few = viewer.queries
    for n, job in enumerate(jobs):
        deliver(event, f"app.f{n}", job_id=job.pk)
    text = viewer.look(page_of(event))
    assert viewer.queries == few
    assert text.count('<td class="name">') == 100 and "The first 100 of them." in text


def test_everything_is_escaped(viewer):
    event = sent(HOSTILE[:200], given_id=HOSTILE[:200], data={HOSTILE: HOSTILE})
    deliver(event, HOSTILE[:100], "refused", key=HOSTILE[:200], note=HOSTILE)
    for url in (LIST, page_of(event)):
        text = viewer.look(url)
        assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in viewer.look(LIST, q=HOSTILE)


def test_it_takes_the_permission_to_look(as_user):
    event = sent()
    nobody = as_user("nobody", "view_job")
    assert nobody.get(LIST).status_code == 403 and nobody.get(page_of(event)).status_code == 403
    somebody = as_user("somebody", "view_event")
    assert page_of(event) in somebody.look(LIST)
    assert LIST in somebody.look(reverse("admin:index")) and LIST not in nobody.look(reverse("admin:index"))


def test_nothing_is_added_changed_or_deleted(admin_client):
    event = sent()
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page_of(event), {"name": "x"}).status_code == 403
    assert admin_client.post(page_of(event).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403
    assert Event.objects.get().name == "market.resolved"
