"""Sagas in the admin: how far each is, and buttons that cancel and go on."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import Step, action, mutation, saga, testing
from scheduling.models import Saga
from tests.scheduling import work
from tests.scheduling.admin.functions import HOSTILE, fine

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_saga_changelist")
BUDGET = 12
MENDED: list[bool] = []


@action(name="saga_pages.say")
def say(words: str) -> str:
    return words


@action(name="saga_pages.unsay")
def unsay(words: str) -> None:
    if not MENDED:
        raise RuntimeError(f"cannot unsay {words}")


@mutation(name="saga_pages.told")
def told() -> None: ...


@pytest.fixture(autouse=True)
def nothing_mended():
    MENDED.clear()


def page_of(one):
    return reverse("admin:scheduling_saga_change", args=[one.pk])


def fails():
    return Step(work.flaky, args={"how": "final"})


def failed(words="this"):
    made = saga.run([Step(say, unsay, {"words": words}), fails()])
    testing.drain()
    return made


def test_the_list_shows_how_far_each_is(viewer):
    saga.run([Step(fine), Step(fine)], on_complete=told)
    testing.drain()
    failed()
    saga.run([Step(fine)] * 3)
    text = viewer.look(LIST)
    for words in ("2 of 2", "0 of 3", "saga_pages.told", "step 1, work.flaky"):
        assert words in text
    assert viewer.queries <= BUDGET
    assert "0 of 3" not in viewer.look(LIST, state__exact="failed")


def test_a_saga_is_found_by_its_number(viewer):
    one = saga.run([Step(fine)] * 3)
    saga.run([Step(fine)] * 4)
    assert "of 3" in (text := viewer.look(LIST, q=f"#{one.pk}")) and "of 4" not in text
    assert "of 3" not in viewer.look(LIST, q="x")


def test_the_page_of_one_says_all_of_it(viewer):
    text = viewer.look(page_of(failed(HOSTILE)))
    assert HOSTILE not in text
    for words in ("saga_pages.say", "saga_pages.unsay", "undo failed", "cannot unsay", "work.flaky"):
        assert words in text
    assert viewer.queries <= BUDGET


def verb(one, name):
    return reverse("admin:scheduling_saga_verb", args=[one.pk, name])


def test_the_buttons_cancel_and_go_on(operator):
    made = saga.run([Step(fine)])
    assert "/do/cancel/" in operator.look(page_of(made))
    assert "1 canceled." in operator.press(verb(made, "cancel")).content.decode()
    assert "1 had ended, or was being undone." in operator.press(verb(made, "cancel")).content.decode()
    other = failed()
    assert "/do/cancel/" not in operator.look(page_of(other))
    MENDED.append(True)
    assert "1 went on." in operator.press(verb(other, "resume")).content.decode()
    testing.drain()
    assert set(Saga.objects.values_list("state", flat=True)) == {"undone"}
    assert "/do/" not in operator.look(page_of(other))
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == ["Canceled.", "Resumed."]


def test_each_takes_a_permission_of_its_own(viewer, as_user):
    made, other = saga.run([Step(fine)]), failed()
    for one, name in ((made, "cancel"), (other, "resume")):
        assert f"/do/{name}/" not in viewer.look(page_of(one))
        assert viewer.post(verb(one, name)).status_code == 403
        assert as_user(f"no {name}", f"{name}_saga").post(verb(one, name)).status_code == 403
        assert as_user(f"may {name}", "view_saga", f"{name}_saga").post(verb(one, name)).status_code == 302


def test_everything_is_escaped(viewer):
    made = failed()
    Saga.objects.filter(pk=made.pk).update(error=HOSTILE, on_complete=HOSTILE[:200])
    made.steps.update(error=HOSTILE, do=HOSTILE[:200], undo=HOSTILE[:200])
    for url in (LIST, page_of(made)):
        text = viewer.look(url)
        assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_nothing_is_added_changed_or_deleted(admin_client):
    made = saga.run([Step(fine)])
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page_of(made), {"error": "x"}).status_code == 403
    assert admin_client.post(page_of(made).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403
