"""Pauses: the form, the list, the dashboard's banner, and what the page of a job says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import pools, scheduler, testing
from scheduling.models import Pause
from tests.scheduling.admin.functions import fine, loud

pytestmark = pytest.mark.django_db

INDEX, FRAGMENT = reverse("admin:index"), reverse("dashboard")
LIST, FORM = reverse("admin:scheduling_pause_changelist"), reverse("admin:scheduling_pause_add")
BUDGET = 12
FUNCTION = reverse("admin:scheduling_jobfunction_change", args=["adminwork.fine"])


def resume(pause: Pause, back: str = "") -> str:
    url = reverse("admin:scheduling_pause_verb", args=[pause.pk, "resume"])
    return f"{url}?back={back}" if back else url


def messages() -> list[tuple[str, str, str]]:
    """What is in the log of acts: on what, which, and what was done."""
    entries = LogEntry.objects.order_by("pk").select_related("content_type")
    return [(entry.content_type.model, entry.object_repr, entry.get_change_message()) for entry in entries]


@pytest.fixture
def exchange(db) -> str:
    pools.define("exchange")
    return reverse("admin:scheduling_pool_change", args=[pools.get("exchange").pk])


class TestTheForm:
    def test_it_pauses_a_function(self, operator):
        answer = operator.post(FORM, {"what": "function:adminwork.fine", "reason": "it is slow"})
        assert answer.url == FUNCTION
        assert "it is slow" in operator.look(FUNCTION)
        job = scheduler.now(fine)
        testing.drain()
        assert scheduler.status(job.pk) == "pending"
        assert messages() == [("jobfunction", "adminwork.fine", "Paused: it is slow")]

    def test_it_pauses_a_pool(self, operator, exchange):
        answer = operator.post(FORM, {"what": "pool:exchange", "reason": "it is down"})
        assert operator.get(answer.url).url == exchange
        assert Pause.objects.get().kind == "pool"
        assert messages() == [("pool", "exchange", "Paused: it is down")]

    def test_it_pauses_everything(self, operator):
        answer = operator.post(FORM, {"what": "everything:", "reason": "a migration"})
        assert answer.url == INDEX
        assert Pause.objects.get().kind == "everything"
        assert messages() == [("pause", "everything", "Paused: a migration")]

    def test_the_time_at_which_it_ends_is_kept_to_the_second(self, operator, clock):
        until = (clock.now() + timedelta(hours=2)).replace(microsecond=0)
        operator.post(FORM, {"what": "everything:", "reason": "x", "until": until.isoformat()})
        assert Pause.objects.get().until == until
        assert messages()[0][2] == f"Paused until {until:%Y-%m-%d %H:%M} UTC: x"
        assert "until <time" in operator.look(INDEX)
        clock.jump(2 * 3600 + 1)
        assert "is paused" not in operator.look(INDEX)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"reason": "  "}, "Say why: whoever comes next wants to know."),
            ({"reason": "x" * 201}, "at most 200 characters"),
            ({"until": "2020-01-01T00:00"}, "That time has passed."),
            ({"until": "soon"}, "Enter a valid date/time."),
            ({"what": "function:no.such"}, "Select a valid choice."),
            ({"what": "function:adminwork.count"}, "Select a valid choice."),
            ({"what": "pool:nowhere"}, "Select a valid choice."),
            ({"what": ""}, "This field is required."),
        ],
    )
    def test_what_cannot_be_is_refused_in_words(self, operator, fields, words):
        page = operator.press(FORM, **{"what": "everything:", "reason": "x"} | fields).content.decode()
        assert words in page
        assert not Pause.objects.exists()
        assert not LogEntry.objects.exists()

    def test_it_knows_what_it_was_opened_for(self, operator, exchange):
        assert '<option value="pool:exchange" selected>' in operator.look(FORM, what="pool:exchange")
        assert '<option value="everything:" selected>' in operator.look(FORM)
        assert operator.queries <= BUDGET

    def test_pausing_again_changes_reason_and_time(self, operator):
        for reason in ("one", "two"):
            operator.post(FORM, {"what": "function:adminwork.fine", "reason": reason})
        assert Pause.objects.get().reason == "two"
        assert len(messages()) == 2

    def test_who_may_not_see_a_pool_is_sent_to_the_dashboard(self, as_user, exchange):
        browser = as_user("pauser", "pause_work")
        assert browser.post(FORM, {"what": "pool:exchange", "reason": "x"}).url == INDEX


class TestTheList:
    def test_queries_do_not_grow(self, viewer):
        scheduler.pause(fine, "one")
        viewer.look(LIST)
        few = viewer.queries
        for n in range(30):
            pools.define(f"pool-{n}")
            pools.pause(f"pool-{n}", "many")
        page = viewer.look(LIST)
        assert page.count("many") == 30
        assert viewer.queries == few <= BUDGET

    def test_only_those_in_force_are_shown(self, viewer, clock):
        scheduler.pause(fine, "for a minute", clock.now() + timedelta(seconds=60))
        assert "for a minute" in viewer.look(LIST)
        clock.jump(60)
        assert "for a minute" not in viewer.look(LIST)

    def test_many_are_resumed_at_once(self, operator):
        scheduler.pause(fine, "one")
        scheduler.pause(loud, "two")
        ids = list(Pause.objects.values_list("pk", flat=True))
        operator.press(LIST, action="resume", _selected_action=ids, index=0)
        assert not Pause.objects.exists()
        assert {(repr, words) for _, repr, words in messages()} == {
            ("adminwork.fine", "Resumed."), ("adminwork.loud", "Resumed."),
        }  # fmt: skip

    def test_there_is_no_page_of_one(self, viewer):
        scheduler.pause(fine, "one")
        assert viewer.get(reverse("admin:scheduling_pause_change", args=[Pause.objects.get().pk])).url == LIST


class TestResuming:
    @pytest.mark.parametrize(
        ("back", "leads_to"), [("", FUNCTION), ("dashboard", INDEX), ("list", LIST), ("//x", FUNCTION)]
    )
    def test_it_leads_back_to_where_the_button_was(self, operator, back, leads_to):
        scheduler.pause(fine, "one")
        assert operator.post(resume(Pause.objects.get(), back)).url == leads_to
        assert not Pause.objects.exists()
        assert messages() == [("jobfunction", "adminwork.fine", "Resumed.")]

    def test_who_comes_second_is_told_so(self, operator):
        scheduler.pause(fine, "one")
        url = resume(Pause.objects.get())
        operator.press(url)
        assert "Nothing was paused: it has been resumed" in operator.press(url).content.decode()
        assert len(messages()) == 1

    def test_a_function_that_is_gone_is_resumed_too(self, operator):
        scheduler.pause(fine, "one")
        Pause.objects.update(name="gone.function")
        assert operator.post(resume(Pause.objects.get(), "list")).url == LIST
        assert not Pause.objects.exists()


class TestTheDashboard:
    def test_a_banner_says_that_everything_is_paused_and_resumes_it(self, operator, viewer, clock):
        scheduler.pause(reason="a migration", everything=True)
        clock.jump(90)
        for page in (operator.look(INDEX), operator.look(FRAGMENT)):
            assert "Everything is paused since" in page
            assert "a migration" in page
            assert "1 min ago" in page
            assert resume(Pause.objects.get(), "dashboard") in page
        assert "csrfmiddlewaretoken" in operator.look(FRAGMENT)
        assert '<button type="submit" class="small-button">Resume</button>' not in viewer.look(FRAGMENT)
        operator.post(resume(Pause.objects.get(), "dashboard"))
        assert "is paused since" not in operator.look(FRAGMENT)

    def test_functions_and_pools_are_listed_after_everything(self, viewer, exchange):
        pools.pause("exchange", "first")
        scheduler.pause(fine, "second")
        scheduler.pause(reason="third", everything=True)
        page = viewer.look(FRAGMENT)
        assert page.index("Everything") < page.index(">adminwork.fine<") < page.index(">exchange<")

    def test_while_all_stands_still_nobody_is_alarmed_that_jobs_wait(self, viewer, clock):
        scheduler.now(fine)
        clock.jump(61)
        assert "The oldest due job has waited" in viewer.look(FRAGMENT)
        scheduler.pause(fine, "only this")
        assert "The oldest due job has waited" in viewer.look(FRAGMENT)
        scheduler.pause(reason="all", everything=True)
        assert "The oldest due job has waited" not in viewer.look(FRAGMENT)

    def test_it_costs_one_query_however_many_there_are(self, viewer):
        viewer.look(INDEX)
        few = viewer.queries
        for n in range(30):
            pools.define(f"pool-{n}")
            pools.pause(f"pool-{n}", "x")
        page = viewer.look(INDEX)
        assert viewer.queries == few <= BUDGET
        assert page.count("is paused since") == 20

    def test_the_way_to_pause_is_for_those_who_may(self, operator, viewer, as_user):
        assert FORM in operator.look(INDEX)
        assert f'href="{FORM}"' not in viewer.look(INDEX)
        scheduler.pause(fine, "a secret of the operators")
        assert "a secret of the operators" not in as_user("nobody").look(INDEX)


class TestAJob:
    def page(self, browser, **options) -> str:
        return browser.look(reverse("admin:scheduling_job_change", args=[scheduler.now(fine, **options).pk]))

    def test_what_keeps_it_from_beginning_is_said(self, viewer, clock):
        pools.define("exchange", key="n")
        pools.pause("exchange", "the pool", clock.now() + timedelta(hours=1))
        scheduler.pause(fine, "the function")
        scheduler.pause(reason="the lot", everything=True)
        page = self.page(viewer, pool="exchange")
        for words in ("Everything is paused since", "the lot", "the function", "the pool", "until <time"):
            assert words in page
        assert viewer.queries <= BUDGET
        assert "the pool" not in self.page(viewer)

    def test_other_pauses_are_not_its(self, viewer):
        scheduler.pause(loud, "another")
        assert "is paused since" not in self.page(viewer)

    def test_one_that_has_ended_waits_for_nothing(self, viewer):
        job = scheduler.now(fine)
        testing.drain()
        scheduler.pause(fine, "one")
        assert "is paused since" not in viewer.look(reverse("admin:scheduling_job_change", args=[job.pk]))
