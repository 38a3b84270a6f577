"""Rate limits on the database: what is granted, what is refused, what is written, and who comes first."""

from __future__ import annotations

import math
import pickle
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from scheduling import FixedWindow, TokenBucket, buckets, limits
from scheduling.exceptions import InvalidOption, LimitImpossible, NotFound, RateLimited
from scheduling.limits import Taken
from scheduling.models import Limit, LimitKind, LimitLevel

pytestmark = pytest.mark.django_db
EMPTY = Taken(True, None)


@pytest.fixture(autouse=True)
def _nothing_defined_at_start(monkeypatch):
    monkeypatch.setattr(limits, "_at_start", {})
    monkeypatch.setattr(limits, "_unwritten", set())


def rows():
    return list(LimitLevel.objects.order_by("pk").values())


class TestTokenBucket:
    @pytest.fixture(autouse=True)
    def _defined(self, clock):
        limits.define("api", TokenBucket(rate=60, period=60, capacity=3))

    def test_it_is_full_at_first_then_refills_evenly(self, clock):
        assert [limits.take("api").ok for _ in range(4)] == [True, True, True, False]
        clock.jump(0.5)
        assert limits.value("api") == 0.5
        assert limits.take("api") == Taken(False, 0.5)
        clock.jump(0.5)
        assert limits.take("api") == EMPTY
        clock.jump(3600)
        assert limits.value("api") == 3

    def test_the_wait_that_a_refusal_names_is_exact(self, clock):
        limits.take("api", count=3)
        refused = limits.take("api", count=2)
        assert refused == Taken(False, 2.0) and not refused
        clock.jump(refused.retry_after - 1e-6)
        assert not limits.take("api", count=2)
        clock.jump(1e-6)
        assert limits.take("api", count=2)

    def test_a_refusal_writes_nothing(self, clock):
        limits.take("api", count=2)
        before = rows()
        clock.jump(0.5)
        assert not limits.take("api", count=2)
        assert not limits.take("api", count=3)
        assert rows() == before

    def test_check_answers_as_take_does_and_writes_nothing(self, clock):
        assert limits.check("api", count=3) == EMPTY
        assert rows() == []
        limits.take("api", count=2)
        before = rows()
        assert limits.check("api") == EMPTY
        assert limits.check("api", count=2) == Taken(False, 1.0)
        assert limits.check("api", count=4, reserve=True) == Taken(True, 3.0)
        assert rows() == before

    def test_keys_have_tokens_of_their_own_and_none_is_another(self):
        assert limits.take("api", count=3)
        for key in ("", "a", "A", 5, "None", "é\u2028'\"%s"):
            assert limits.take("api", key=key, count=3)
            assert not limits.take("api", key=key)
        assert limits.value("api", key="5") == 0
        assert limits.value("api", key="b") == 3

    def test_a_count_of_zero_is_granted_unless_tokens_are_reserved_ahead(self):
        limits.take("api", count=3)
        assert limits.take("api", count=0) == EMPTY
        limits.take("api", count=1, reserve=True)
        assert limits.take("api", count=0) == Taken(False, 1.0)

    def test_parts_of_tokens(self, clock):
        assert limits.take("api", count=2.75)
        assert limits.value("api") == 0.25
        assert not limits.take("api", count=0.26)

    def test_a_clock_set_back_gives_nothing(self, clock):
        limits.take("api", count=3)
        clock.jump(-1)
        assert limits.value("api") == 0
        clock.jump(-3600)
        assert limits.value("api") == 0
        limits.take("api", count=0)
        clock.jump(1)
        assert limits.value("api") == 1


class TestDefaults:
    def test_of_a_bucket_and_of_a_window(self):
        bucket, window = TokenBucket(60, 1), FixedWindow(60, 1)
        assert (bucket.capacity, bucket.max_reserved, bucket.shards) == (None, None, 1)
        assert (window.capacity, window.start, window.max_reserved, window.shards) == (None, None, None, 1)

    def test_in_the_order_in_which_they_are_named(self, clock):
        assert TokenBucket(1, 2, 3, 4, 5) == TokenBucket(rate=1, period=2, capacity=3, max_reserved=4, shards=5)
        start = clock.now()
        assert FixedWindow(1, 2, 3, start) == FixedWindow(rate=1, period=2, capacity=3, start=start)

    @pytest.mark.parametrize("kind", [TokenBucket, FixedWindow])
    def test_the_capacity_is_the_rate_and_a_take_is_of_one_token_of_no_key(self, clock, kind):
        limits.define("api", kind(rate=5, period=60))
        assert limits.value("api") == 5
        assert limits.take("api") == Taken(True, None)
        assert (limits.value("api"), limits.value("api", "")) == (4, 5)
        assert limits.take("api", None, 5).ok is False, "neither reserved nor an error"
        assert limits.take("api", "key", 5, True, True).ok is True


class TestFixedWindow:
    def test_tokens_come_at_the_beginning_of_each_window_and_roll_over(self, clock):
        start = clock.now() - timedelta(seconds=10)
        limits.define("w", FixedWindow(5, 60, capacity=8, start=start))
        assert limits.take("w", count=6)
        assert limits.take("w", count=3) == Taken(False, 50.0)
        clock.jump(49.999999)
        assert limits.value("w") == 2
        clock.jump(0.000001)
        assert limits.value("w") == 7
        clock.jump(60)
        assert limits.value("w") == 8

    def test_a_reservation_waits_for_as_many_windows_as_it_takes(self, clock):
        limits.define("w", FixedWindow(5, 60, start=clock.now()))
        clock.jump(1)
        assert limits.take("w", count=5) == EMPTY
        assert limits.take("w", count=5, reserve=True) == Taken(True, 59.0)
        assert limits.take("w", count=1, reserve=True) == Taken(True, 119.0)

    def test_without_a_start_each_key_begins_at_a_time_of_chance_drawn_once(self, clock, random):
        limits.define("w", FixedWindow(1, 60))
        random(0.25)
        limits.take("w", "a")
        random(0.5)
        limits.take("w", "b")
        waits = [limits.take("w", key).retry_after for key in "abab"]
        assert waits == [45.0, 30.0] * 2
        clock.jump(45)
        assert [limits.take("w", key).ok for key in "ab"] == [True, True]
        assert [limits.take("w", key).retry_after for key in "ab"] == [60.0, 45.0]

    def test_all_keys_begin_together_with_a_start(self, clock):
        limits.define("w", FixedWindow(1, 60, start=clock.now() + timedelta(seconds=10)))
        for key in "ab":
            limits.take("w", key)
            assert limits.take("w", key).retry_after == 10.0


class TestReservations:
    def test_they_go_below_zero_and_say_how_long_to_wait(self, clock):
        limits.define("api", TokenBucket(rate=1, period=1, capacity=2))
        assert [limits.take("api", reserve=True).retry_after for _ in range(4)] == [None, None, 1.0, 2.0]
        assert limits.value("api") == -2
        assert limits.take("api") == Taken(False, 3.0)
        clock.jump(2)
        assert limits.value("api") == 0

    def test_max_reserved_bounds_them(self, clock):
        limits.define("api", TokenBucket(rate=1, period=1, capacity=2, max_reserved=3))
        assert limits.take("api", count=4, reserve=True) == Taken(True, 2.0)
        before = rows()
        assert limits.take("api", count=2, reserve=True) == Taken(False, 4.0)
        assert rows() == before
        assert limits.take("api", count=1, reserve=True) == Taken(True, 3.0)

    def test_a_max_reserved_of_zero_lets_nothing_be_reserved(self, clock):
        limits.define("api", TokenBucket(rate=1, period=1, max_reserved=0))
        assert limits.take("api", reserve=True) == EMPTY
        assert limits.take("api", reserve=True) == Taken(False, 1.0)
        with pytest.raises(LimitImpossible, match=r"^Rate limit api count 2 exceeds 1\.$"):
            limits.take("api", count=2, reserve=True)

    def test_the_first_use_may_be_one(self, clock):
        limits.define("api", TokenBucket(rate=1, period=1, max_reserved=1))
        assert limits.take("api", count=2, reserve=True) == Taken(True, 1.0)

    def test_throws_raises_on_a_refusal_only(self, clock):
        limits.define("api", TokenBucket(rate=1, period=1, max_reserved=1))
        assert limits.take("api", throws=True)
        assert limits.check("api", reserve=True, throws=True) == Taken(True, 1.0)
        assert limits.take("api", reserve=True, throws=True) == Taken(True, 1.0)
        for verb in (limits.take, limits.check):
            with pytest.raises(RateLimited, match="api") as caught:
                verb("api", throws=True)
            assert caught.value.retry_after == 2.0
        assert pickle.loads(pickle.dumps(caught.value)).retry_after == 2.0


class TestRefusedOutright:
    @pytest.mark.parametrize("verb", [limits.take, limits.check])
    def test_a_count_that_can_never_be_granted(self, verb):
        limits.define("api", TokenBucket(rate=10, period=1, max_reserved=5))
        with pytest.raises(LimitImpossible, match=r"^Rate limit api count 11 exceeds 10\.$"):
            verb("api", count=11)
        with pytest.raises(LimitImpossible, match=r"^Rate limit api count 15\.5 exceeds 15\.$"):
            verb("api", count=15.5, reserve=True)
        limits.define("api", TokenBucket(rate=10, period=1))
        assert verb("api", count=10_000, reserve=True).ok

    def test_also_while_the_limit_is_exhausted(self):
        limits.define("api", TokenBucket(rate=1, period=60))
        limits.take("api")
        with pytest.raises(LimitImpossible):
            limits.take("api", count=2)

    @pytest.mark.parametrize("verb", [limits.take, limits.check, limits.value, limits.reset])
    def test_an_unknown_limit(self, verb):
        with pytest.raises(NotFound, match="nowhere"):
            verb("nowhere")

    @pytest.mark.parametrize("count", [-1, math.nan, math.inf, True, "1"])
    def test_a_count_that_is_none(self, count):
        limits.define("api", TokenBucket(rate=1, period=1))
        for verb in (limits.take, limits.check):
            with pytest.raises(InvalidOption, match="count"):
                verb("api", count=count)

    @pytest.mark.parametrize("key", [True, 1.5, "x" * 201, "a\0", "\ud800", b"a"])
    def test_a_key_that_cannot_be_stored(self, key):
        limits.define("api", TokenBucket(rate=1, period=1))
        for verb in (limits.take, limits.check, limits.value, limits.reset):
            with pytest.raises(InvalidOption, match="key"):
                verb("api", key=key)

    def test_a_definition_that_cannot_be(self):
        for name in ("", "x" * 101, "a\n", None):
            with pytest.raises(InvalidOption, match="name"):
                limits.define(name, TokenBucket(rate=1, period=1))
        with pytest.raises(InvalidOption, match="TokenBucket"):
            limits.define("api", {"rate": 1})


class TestDefine:
    def test_it_is_idempotent_and_costs_one_read(self, django_assert_num_queries):
        limits.define("api", FixedWindow(rate=1, period=0.1, start=datetime.fromisoformat("2026-01-01T00:00+02:00")))
        with django_assert_num_queries(1):
            limits.define("api", FixedWindow(rate=1, period=0.1, start=datetime.fromisoformat("2025-12-31T22:00Z")))
        assert Limit.objects.count() == 1

    def test_a_changed_one_is_in_force_at_once_and_tokens_are_kept(self, clock):
        limits.define("api", TokenBucket(rate=60, period=60))
        limits.take("api", count=59)
        limits.define("api", TokenBucket(rate=1, period=60, capacity=100))
        assert limits.value("api") == 1
        clock.jump(60)
        assert limits.value("api") == 2
        limits.define("api", FixedWindow(rate=10, period=60, capacity=1))
        assert limits.value("api") == 1
        assert Limit.objects.get().kind == LimitKind.FIXED_WINDOW

    def test_what_an_operator_edits_is_kept_until_the_code_changes(self):
        limits.define("api", TokenBucket(rate=60, period=60))
        row = Limit.objects.get()
        row.rate = 5
        row.save()
        limits.define("api", TokenBucket(rate=60, period=60))
        assert limits.value("api") == 5
        limits.define("api", TokenBucket(rate=61, period=60))
        assert limits.value("api") == 61

    def test_while_the_apps_load_no_query_is_made_and_it_is_written_at_its_first_use(
        self, monkeypatch, django_assert_num_queries
    ):
        monkeypatch.setattr(limits, "apps", SimpleNamespace(ready=False))
        with django_assert_num_queries(0):
            limits.define("api", TokenBucket(rate=2, period=1))
        monkeypatch.undo()
        monkeypatch.setattr(limits, "_at_start", {"api": TokenBucket(rate=2, period=1)})
        monkeypatch.setattr(limits, "_unwritten", {"api"})
        assert limits.check("api", count=2) and limits.value("api") == 2 and not limits.reset("api")
        assert not Limit.objects.exists()
        assert limits.take("api", count=2)
        Limit.objects.all().delete()  # as a test's flush does
        monkeypatch.setattr(limits, "_unwritten", set())
        assert limits.take("api", count=2)
        Limit.objects.all().delete()
        limits.sync()
        assert limits.value("api") == 2

    def test_the_form_and_the_row_refuse_what_cannot_be(self):
        limits.define("api", TokenBucket(rate=60, period=60))
        row = Limit.objects.get()
        row.rate = -1
        with pytest.raises(ValidationError, match="rate"):
            row.full_clean()
        with pytest.raises(InvalidOption, match="rate"):
            row.save()
        with pytest.raises(IntegrityError), transaction.atomic():
            Limit.objects.update(shards=0)


class TestEditing:
    def test_what_is_changed_is_in_force_at_once_and_tokens_are_kept(self, clock):
        limits.define("api", TokenBucket(rate=60, period=60, capacity=10))
        limits.take("api", count=10)
        limits.edit("api", rate=120, capacity=None)
        clock.jump(1)
        assert limits.value("api") == 2
        row = Limit.objects.get()
        assert (row.rate, row.period, row.capacity) == (120, timedelta(seconds=60), None)

    def test_it_is_kept_until_the_code_says_something_else(self):
        limits.define("api", TokenBucket(rate=60, period=60))
        limits.edit("api", rate=5)
        limits.define("api", TokenBucket(rate=60, period=60))
        assert Limit.objects.get().rate == 5
        limits.define("api", TokenBucket(rate=61, period=60))
        assert Limit.objects.get().rate == 61

    @pytest.mark.parametrize(
        "config",
        [
            TokenBucket(rate=60, period=timedelta(minutes=1), capacity=7, max_reserved=3, shards=2),
            FixedWindow(rate=0.5, period=0.25, start=1000),
            FixedWindow(rate=9, period=86400),
        ],
    )
    def test_revert_goes_back_to_what_the_code_said_last(self, config):
        limits.define("api", config)
        assert Limit.objects.get().declared_configuration == config
        limits.edit("api", rate=5, period=9, capacity=1, max_reserved=1, shards=3)
        assert Limit.objects.get().configuration != config
        limits.revert("api")
        assert Limit.objects.get().configuration == config
        assert Limit.objects.get().terms == buckets.terms(config)

    @pytest.mark.parametrize("nonsense", [{"rate": -1}, {"period": 0}, {"capacity": 0}, {"shards": 1.5}, {"start": 0}])
    def test_what_cannot_be_a_limit_changes_nothing(self, nonsense):
        limits.define("api", FixedWindow(rate=60, period=60))
        before = Limit.objects.values().get()
        with pytest.raises(InvalidOption, match=next(iter(nonsense))):
            limits.edit("api", **nonsense)
        assert Limit.objects.values().get() == before

    def test_what_only_the_code_defines_as_yet_is_written_first(self, monkeypatch):
        monkeypatch.setattr(limits, "_at_start", {"api": TokenBucket(rate=2, period=1)})
        limits.edit("api", rate=3)
        assert Limit.objects.get().rate == 3
        limits.revert("api")
        assert Limit.objects.get().rate == 2

    def test_an_unknown_limit_is_an_error_and_one_made_by_hand_has_nothing_to_go_back_to(self):
        for call in (lambda: limits.edit("nowhere", rate=1), lambda: limits.revert("nowhere")):
            with pytest.raises(NotFound):
                call()
        limits.define("api", TokenBucket(rate=2, period=1))
        Limit.objects.update(declared=None)
        with pytest.raises(InvalidOption, match="not defined by code"):
            limits.revert("api")

    def test_a_form_says_at_which_field_what_is_wrong(self):
        limits.define("api", TokenBucket(rate=60, period=60))
        row = Limit.objects.get()
        row.rate, row.shards = 0, 1001
        with pytest.raises(ValidationError) as caught:
            row.clean()
        assert set(caught.value.message_dict) == {"rate", "shards"}


class TestReset:
    def test_the_next_use_starts_full(self, clock):
        limits.define("api", TokenBucket(rate=2, period=60))
        for key in (None, "a", "b"):
            limits.take("api", key, count=2)
        assert (limits.reset("api"), limits.reset("api", "a"), limits.reset("api", "c")) == (1, 1, 0)
        assert [limits.value("api", key) for key in (None, "a", "b")] == [2, 2, 0]

    def test_a_window_without_a_start_begins_anew_at_a_time_of_chance(self, clock, random):
        limits.define("w", FixedWindow(1, 60))
        random(0.25)
        limits.take("w")
        assert limits.take("w").retry_after == 45.0
        limits.reset("w")
        random(0.5)
        assert limits.take("w") == EMPTY
        assert limits.take("w").retry_after == 30.0

    def test_everything_goes_in_bounded_batches(self, monkeypatch, django_assert_max_num_queries):
        limits.define("api", TokenBucket(rate=2, period=60))
        limits.define("other", TokenBucket(rate=2, period=60))
        for key in "abcde":
            limits.take("api", key)
            limits.take("other", key)
        monkeypatch.setattr(limits, "RESET_BATCH", 2)
        with django_assert_max_num_queries(12):
            assert limits.reset("api", everything=True) == 5
        assert LimitLevel.objects.count() == 5
        with pytest.raises(InvalidOption):
            limits.reset("api", "a", everything=True)
