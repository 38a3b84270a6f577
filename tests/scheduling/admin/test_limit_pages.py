"""Rate limits: the list in words, the page of one with its keys, and what is done to them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import Call, FixedWindow, TokenBucket, limits, scheduler, testing
from scheduling.admin import limit_page
from scheduling.models import Job, Limit, LimitLevel
from tests.scheduling.admin.functions import fetch, fine

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_limit_changelist")
BUDGET = 12
SIXTY = TokenBucket(rate=60, period=60)


def page_of(name: str) -> str:
    return reverse("admin:scheduling_limit_change", args=[Limit.objects.get(name=name).pk])


def press(browser, name: str, verb: str, **data) -> str:
    url = reverse("admin:scheduling_limit_verb", args=[Limit.objects.get(name=name).pk, verb])
    return browser.press(url, **data).content.decode()


def change(browser, name: str, **fields) -> str:
    form = browser.get(page_of(name)).context["adminform"].form
    given = {field: "" if form[field].value() is None else form[field].value() for field in form.fields}
    return browser.press(page_of(name), **given | fields, _continue="1").content.decode()


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SIXTY, "60 per minute, at most 60 at once"),
        (TokenBucket(rate=10, period=0.5), "10 per 500 ms, at most 10 at once"),
        (TokenBucket(rate=0.5, period=3600, capacity=3), "0.5 per hour, at most 3 at once"),
        (TokenBucket(rate=5, period=1, max_reserved=9), "5 per second, at most 5 at once, up to 9 reserved ahead"),
        (TokenBucket(rate=5, period=90, shards=4), "5 per 1 min 30 s, at most 5 at once; in 4 rows"),
        (FixedWindow(rate=100, period=86400), "100 at the beginning of each day, at most 100 at once"),
    ],
)
def test_a_limit_is_said_in_words(config, words):
    assert limit_page.words(config) == words


def test_queries_grow_neither_with_limits_nor_with_keys_nor_with_jobs(viewer):
    limits.define("api", SIXTY)
    limits.take("api", "a")
    viewer.look(LIST)
    few = viewer.queries
    viewer.look(page_of("api"))
    few_of_one = viewer.queries
    for n in range(30):
        limits.define(f"more-{n}", SIXTY)
        limits.take(f"more-{n}")
    for n in range(100):
        limits.take("api", n)
    jobs = scheduler.bulk([Call(fine, {"n": n}, rate_limit="api") for n in range(50)])
    Job.objects.filter(pk__in=[job.pk for job in jobs[:9]]).update(reserved=True, lane="")
    viewer.look(LIST)
    assert viewer.queries == few <= BUDGET
    viewer.look(page_of("api"))
    assert few_of_one < viewer.queries <= BUDGET, (
        "those who wait and those who have reserved are read where there are any"
    )


def test_the_list_says_how_many_tokens_there_are_now_and_who_waits(viewer, clock):
    limits.define("api", SIXTY)
    limits.define("daily", FixedWindow(rate=100, period=86400, start=0))
    limits.define("sharded", TokenBucket(rate=8, period=8, shards=4))
    limits.take("api", count=30)
    limits.take("sharded", count=1)
    for key in "abc":
        limits.take("daily", key)
    waiting = scheduler.bulk([Call(fine, rate_limit="api") for _ in range(5)])
    Job.objects.filter(pk__in=[job.pk for job in waiting[:2]]).update(reserved=True, lane="")
    clock.jump(15)
    page = text(viewer.look(LIST))
    assert "api 60 per minute, at most 60 at once token bucket 45 of 60 3 waiting, 2 reserved" in page
    assert "fixed window 3 keys used 0 waiting, 0 reserved" in page
    assert "8 of 8" in page
    assert "100 of 100" not in page, "nothing was taken without a key"


def test_tokens_that_are_reserved_ahead_are_below_zero(viewer, clock):
    limits.define("api", SIXTY)
    limits.take("api", count=90, reserve=True)
    page = viewer.look(LIST)
    assert "-30 of 60" in text(page)
    assert 'fill-part" width="0"' in page


class TestKeys:
    def test_each_has_its_tokens_and_when_one_was_last_taken(self, viewer, clock):
        limits.define("api", SIXTY)
        limits.take("api", "btc", count=20)
        clock.jump(5)
        limits.take("api", "eth")
        page = text(viewer.look(page_of("api")))
        assert re.search(r"btc 45 of 60 \S+ \S+ UTC 5 s ago", page)
        assert re.search(r"eth 59 of 60 \S+ \S+ UTC now", page)

    def test_shards_are_one_key(self, viewer, clock, random):
        limits.define("api", TokenBucket(rate=60, period=60, shards=2))
        for u in (0.1, 0.9):
            random(u)
            limits.take("api", "btc", count=10)
        assert LimitLevel.objects.count() == 2
        page = text(viewer.look(page_of("api")))
        assert "btc 40 of 60" in page
        assert "1 used" in page

    def test_they_are_walked_page_by_page_and_found(self, viewer):
        limits.define("api", SIXTY)
        keys = [f"k{n:03}" for n in range(120)]
        for key in keys:
            limits.take("api", key)

        def shown(**params) -> list[str]:
            return re.findall(r"<tr><td><code>(k\d+)</code>", viewer.look(page_of("api"), **params))

        assert shown() == keys[:50]
        more = re.search(r'href="\?key=(\w+)"', viewer.look(page_of("api")))
        assert more and more.group(1) == "k050"
        assert shown(key="k050") == keys[50:100]
        assert shown(key="k1") == keys[100:]
        assert shown(key="k119") == ["k119"]
        assert shown(key="z") == []
        assert "No key from here on has been used." in viewer.look(page_of("api"), key="z\0")

    def test_the_level_of_a_key_is_what_a_take_would_find(self, clock):
        limits.define("api", FixedWindow(rate=7, period=3, capacity=9, start=1))
        limits.take("api", "k", count=8)
        for _ in range(4):
            clock.jump(1.3)
            ((tokens,), _) = limit_page.keys(Limit.objects.get(), "", clock.now())
            assert f"{limits.value('api', 'k'):g} of 9" in tokens.bar


def test_who_waits_for_tokens_and_who_has_them(viewer, clock):
    limits.define("api", TokenBucket(rate=1, period=60))
    waiting = [scheduler.now(fetch, {"market_id": 7}, pool="").pk for _ in range(3)]
    Job.objects.filter(pk=waiting[2]).update(reserved=True, lane="", run_at=clock.now() + timedelta(seconds=60))
    first, second = viewer.look(page_of("api")).split("Waiting for tokens</h2>")[1].split("With reserved tokens</h2>")
    assert re.findall(r"#(\d+)<", first) == [str(id) for id in waiting[:2]]
    assert re.findall(r"#(\d+)<", second) == [str(waiting[2])]
    assert "<code>7</code>" in first and "<code>7</code>" in second
    assert "in 1 min" in second


def test_a_change_is_in_force_and_leaves_an_entry(operator, clock):
    limits.define("api", SIXTY)
    page = change(operator, "api", rate="30", period="1.5", capacity="", max_reserved="4", shards="2")
    row = Limit.objects.get()
    assert row.configuration == TokenBucket(rate=30, period=1.5, max_reserved=4, shards=2)
    assert limits.value("api") == 30
    assert "30 per 1.5 s, at most 30 at once, up to 4 reserved ahead; in 2 rows" in page
    message = LogEntry.objects.get().get_change_message()
    assert message == "Rate: 60 -> 30; Period: 60 -> 1.5; Max reserved: none -> 4; Shards: 1 -> 2."
    changed = text(page).split("Changed here")[1]
    assert "rate 30 60 period 1.5 s 1 min max reserved 4 none shards 2 1" in changed
    assert "the code says 60 per minute" in operator.look(LIST)


def test_only_what_was_changed_is_written(operator):
    limits.define("api", SIXTY)
    form = operator.get(page_of("api")).context["adminform"].form
    given = {field: "" if form[field].value() is None else form[field].value() for field in form.fields}
    limits.edit("api", max_reserved=5)
    operator.press(page_of("api"), **given | {"rate": "30", "max_reserved": "5"})
    assert (Limit.objects.get().rate, Limit.objects.get().max_reserved) == (30, 5)
    assert LogEntry.objects.get().get_change_message() == "Rate: 60 -> 30."


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rate": "0"}, "greater than or equal to 0.001"),
        ({"rate": "1e13"}, "less than or equal to"),
        ({"rate": "nan"}, "Enter a number."),
        ({"rate": ""}, "This field is required."),
        ({"period": "0"}, "greater than or equal to"),
        ({"period": "1e300"}, "less than or equal to 31622400"),
        ({"period": "inf"}, "Enter a number."),
        ({"capacity": "0"}, "greater than 0"),
        ({"max_reserved": "-1"}, "greater than or equal to 0"),
        ({"shards": "0"}, "greater than or equal to 1"),
        ({"shards": "1001"}, "less than or equal to 1000"),
        ({"shards": "1.5"}, "Enter a whole number."),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(operator, fields, words):
    limits.define("api", SIXTY)
    before = Limit.objects.values().get()
    page = change(operator, "api", **fields)
    (name,) = fields
    errors = re.search(rf'id="id_{name}_error".*?</ul>', page, re.DOTALL)
    assert errors and words in errors.group()
    assert Limit.objects.values().get() == before
    assert not LogEntry.objects.exists()


class TestFillingUp:
    @pytest.fixture(autouse=True)
    def _taken(self, clock):
        limits.define("api", SIXTY)
        for key in (None, "", "a", "b"):
            limits.take("api", key, count=60)

    def left(self) -> list[float]:
        return [limits.value("api", key) for key in (None, "", "a", "b")]

    def test_what_is_taken_without_a_key(self, operator):
        assert "Full again: api, what is taken without a key." in press(operator, "api", "reset")
        assert self.left() == [60, 0, 0, 0]
        assert LogEntry.objects.get().get_change_message() == "Filled up: what is taken without a key."

    @pytest.mark.parametrize(("key", "left"), [("a", [0, 0, 60, 0]), ("", [0, 60, 0, 0])])
    def test_one_key(self, operator, key, left):
        assert f'name="key" value="{key}"' in operator.look(page_of("api"))
        press(operator, "api", "reset", key=key)
        assert self.left() == left
        assert LogEntry.objects.get().get_change_message() == f"Filled up: key {key}."

    def test_all_keys(self, operator):
        assert "Full again: api, all keys." in press(operator, "api", "reset_all")
        assert self.left() == [60, 60, 60, 60]
        assert LogEntry.objects.get().get_change_message() == "Filled up: all keys."

    def test_a_key_that_cannot_be_is_refused(self, operator):
        assert "at most 200 characters" in press(operator, "api", "reset", key="x" * 201)
        assert not LogEntry.objects.exists()

    def test_it_wakes_the_jobs_that_wait(self, operator):
        jobs = scheduler.bulk([Call(fine, rate_limit="api") for _ in range(3)])
        testing.drain()
        assert scheduler.status(jobs[0].pk) == "pending"
        press(operator, "api", "reset")
        testing.drain()
        assert scheduler.status(jobs[0].pk) == "success"


def test_revert_goes_back_to_the_code(operator):
    limits.define("api", SIXTY)
    assert "/do/revert/" not in operator.look(page_of("api"))
    limits.edit("api", rate=5, capacity=2)
    assert "/do/revert/" in operator.look(page_of("api"))
    page = press(operator, "api", "revert")
    assert "Again as the code says: api." in page
    assert "Changed here" not in page
    assert Limit.objects.get().configuration == SIXTY
    assert LogEntry.objects.get().get_change_message() == "Reset to the code."


def test_one_that_no_code_defined_is_not_reset(operator):
    limits.define("api", SIXTY)
    Limit.objects.update(declared=None)
    assert "not defined by code" in press(operator, "api", "revert")
    assert not LogEntry.objects.exists()


def test_a_row_that_somebody_broke_is_shown_and_can_be_mended(operator):
    limits.define("api", SIXTY)
    Limit.objects.update(rate=-1)
    for page in (LIST, page_of("api")):
        assert "rate: Input should be greater" in operator.look(page)
    change(operator, "api", rate="5")
    assert Limit.objects.get().rate == 5
