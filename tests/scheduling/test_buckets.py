"""The arithmetic of rate limits against exact fractions, without a database."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling import buckets
from scheduling.buckets import MILLION, FixedWindow, Level, RateLimit, TokenBucket, terms
from scheduling.exceptions import InvalidOption

NOON = 1_800_000_000 * MILLION
TOLERANCE = 1e-6  # of a token, and of the rate: what rounding against the caller may withhold


class Exact:
    """A limit by the textbook, in fractions: tokens = min(tokens + what has come, capacity) - count."""

    def __init__(self, limit, level):
        self.rate, self.period = Fraction(str(limit.rate)), buckets.micros(limit.period)
        self.capacity = Fraction(str(limit.capacity or limit.rate))
        self.windowed = isinstance(limit, FixedWindow)
        self.tokens, self.since = self.capacity, level.since

    def move(self, now):
        elapsed = now - self.since
        if self.windowed:
            elapsed -= elapsed % self.period
        self.tokens = min(self.capacity, self.tokens + self.rate * elapsed / self.period)
        self.since += elapsed
        return self.tokens

    def wait(self, count):
        short = Fraction(str(count)) - self.tokens
        if self.windowed:
            return self.period * math.ceil(short / self.rate)
        return math.ceil(short * self.period / self.rate)


numbers = st.one_of(st.integers(1, 1000), st.floats(0.01, 1e6), st.sampled_from([0.1, 1 / 3, 2.5, 7, 60, 1e9]))
periods = st.one_of(st.integers(1, 90_000), st.floats(0.001, 1e6), st.sampled_from([0.1, 60, 3600, 86_400, 31_536_000]))
limits = st.one_of(
    st.builds(TokenBucket, numbers, periods, st.none() | numbers),
    st.builds(FixedWindow, numbers, periods, st.none() | numbers),
)
plain = st.builds(
    lambda kind, *numbers: kind(*numbers),
    st.sampled_from([TokenBucket, FixedWindow]),
    st.integers(1, 10_000) | st.sampled_from([0.5, 2.5]),
    st.sampled_from([1, 7, 60, 3600, 86_400]) | st.integers(1, 1000),
    st.none() | st.integers(1, 10_000),
)
# each step: the time since the one before, and the count, both as parts of the period and the capacity
steps = st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1)), min_size=1, max_size=30)


def walk(limit, path, whole=False):
    """Take along a path; gives at each step what we did and what the textbook, fed with the same, has."""
    shard, now = terms(limit), NOON
    level = buckets.first(shard, now, 25_000)
    exact = Exact(limit, level)
    for wait, part in path:
        now += int(wait * buckets.micros(limit.period))
        count = part * float(exact.capacity)
        count = math.ceil(count) if whole else round(count, 9)
        after = buckets.take(shard, [level], buckets.asked(count), now, reserve=False)
        there = exact.move(now)
        yield count, after is not None, there, exact, (shard, level, now)
        if after:
            level, exact.tokens = after[0], there - Fraction(str(count))


@settings(max_examples=150, deadline=None)
@given(plain, steps)
def test_with_plain_numbers_it_is_exactly_the_textbook(limit, path):
    for count, taken, there, exact, (shard, level, now) in walk(limit, path, whole=True):
        assert taken == (there >= count)
        settled, available = buckets.refilled(shard, level, now)
        assert available == math.floor(there * MILLION)
        if not taken:
            at = now + exact.wait(count) - (now - exact.since)
            after = Level(settled.tokens - count * MILLION, settled.since)
            assert now + buckets.wait(shard, after, now) == at
            if count <= exact.capacity:
                assert buckets.take(shard, [level], count * MILLION, at, reserve=False)
                assert not buckets.take(shard, [level], count * MILLION, at - 1, reserve=False)


@settings(max_examples=150, deadline=None)
@given(limits, steps)
def test_whatever_the_numbers_it_never_grants_more_and_withholds_next_to_nothing(limit, path):
    for count, taken, there, exact, (shard, level, now) in walk(limit, path):
        if taken:
            assert there >= Fraction(str(count))
        _, available = buckets.refilled(shard, level, now)
        tolerance = TOLERANCE * (1 + float(exact.rate) + float(exact.capacity)) * (len(path) + 1)
        assert there - tolerance <= Fraction(available, MILLION) <= there


@settings(max_examples=100, deadline=None)
@given(limits)
def test_every_sum_stays_below_64_bits(limit):
    shard = terms(limit)
    assert shard.windowed or shard.refill * shard.every < 2**62
    lowest = Level(-buckets.UNBOUNDED, NOON)
    most = shard.refill * ((shard.capacity - lowest.tokens) // shard.refill + 1)
    assert most < 2**63


def test_a_hundred_thousand_takes_add_up_to_no_error():
    limit = TokenBucket(rate=7, period=60, capacity=1000)
    shard, level, now, granted = terms(limit), Level(0, NOON), NOON, 0
    for i in range(100_000):
        now += 1 + (i * 7919) % 99_991
        after = buckets.take(shard, [level], 5001, now, reserve=False)  # in millionths
        level, granted = (after[0], granted + 5001) if after else (level, granted)
    _, available = buckets.refilled(shard, level, now)
    assert available == math.floor(Fraction(7 * (now - NOON), 60)) - granted
    assert 0 < available < shard.capacity


@pytest.mark.parametrize("kind", [TokenBucket, FixedWindow])
def test_a_clock_set_back_a_little_gives_nothing_and_by_much_does_not_freeze_it(kind):
    shard = terms(kind(60, 60))
    level = Level(0, NOON)
    assert buckets.refilled(shard, level, NOON - 1000) == (level, 0)
    moved, available = buckets.refilled(shard, level, NOON - 3600 * MILLION - 1)
    assert available == 0 and moved.since <= NOON - 3600 * MILLION - 1
    assert buckets.refilled(shard, moved, NOON - 3500 * MILLION)[1] == 60 * MILLION


def test_windows_lie_around_their_start_before_and_after_it():
    start = datetime(2030, 1, 1, 0, 0, 7, tzinfo=UTC)
    shard = terms(FixedWindow(10, 60, start=start))
    begin = buckets.first(shard, NOON, 50_000).since
    assert begin <= NOON < begin + 60 * MILLION and (buckets.since_1970(start) - begin) % (60 * MILLION) == 0
    assert terms(FixedWindow(10, 60, start=7)) == shard


def test_without_a_start_the_first_window_began_at_a_time_of_chance():
    shard = terms(FixedWindow(10, 60))
    assert [buckets.first(shard, NOON, part).since - NOON for part in (0, 50_000)] == [0, -30 * MILLION]


def test_two_shards_lend_each_other_what_neither_has():
    shard = terms(TokenBucket(10, 10, shards=4))  # 2.5 each
    half = Level(MILLION // 2, NOON)
    assert buckets.take(shard, [half], MILLION, NOON, reserve=False) is None
    assert buckets.take(shard, [half, half], MILLION, NOON, reserve=False) == [Level(0, NOON)] * 2
    assert buckets.take(shard, [half, half], MILLION + 1, NOON, reserve=False) is None


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([TokenBucket(10, 10, capacity=8, shards=4), FixedWindow(12, 60, capacity=20, shards=4)]),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    st.floats(0, 1),
)
def test_two_shards_wait_together_no_longer_than_until_they_have_it(limit, had, part):
    shard = terms(limit)
    since = [NOON - int(ago * shard.every) for ago in had[2:]]
    begun = [Level(int(has * shard.capacity), at) for has, at in zip(had, since, strict=False)]
    levels = [buckets.refilled(shard, level, NOON)[0] for level in begun]
    asked = int(part * 2 * shard.capacity)
    if buckets.take(shard, levels, asked, NOON, reserve=False):
        return
    wait = buckets.wait_for(shard, levels, asked, NOON)
    assert buckets.take(shard, levels, asked, NOON + wait, reserve=False)
    assert not buckets.take(shard, levels, asked, NOON + wait - 1, reserve=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0},
        {"rate": -1},
        {"rate": True},
        {"rate": "60"},
        {"rate": math.nan},
        {"rate": math.inf},
        {"period": 0},
        {"period": -1},
        {"period": True},
        {"period": math.inf},
        {"period": timedelta(days=400)},
        {"capacity": 0},
        {"capacity": -1},
        {"capacity": math.nan},
        {"max_reserved": -1},
        {"max_reserved": math.inf},
        {"shards": 0},
        {"shards": -1},
        {"shards": 1.5},
        {"shards": True},
        {"start": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"start": True},
        {"start": math.nan},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(wrong):
    kind = FixedWindow if "start" in wrong else TokenBucket
    with pytest.raises(InvalidOption, match=f"{kind.__name__}: {next(iter(wrong))}"):
        kind(**({"rate": 1, "period": 1} | wrong))


def test_durations_are_seconds_or_timedelta():
    assert TokenBucket(60, timedelta(minutes=1)) == TokenBucket(rate=60, period=60)


@pytest.mark.parametrize("count", [-1, -0.1, True, math.nan, math.inf, "1", None])
def test_a_count_that_cannot_be_is_refused(count):
    with pytest.raises(InvalidOption, match="count"):
        buckets.asked(count)
    with pytest.raises(InvalidOption, match="count"):
        RateLimit("api", count=count)


def test_a_count_is_rounded_up_to_a_millionth():
    assert [buckets.asked(n) for n in (0, 1, 0.1, 1e-9, 1e300)] == [0, MILLION, 100_000, 1, buckets.MOST_ASKED]


def test_rate_limit_of_a_job():
    limit = RateLimit("api", key="market_id")
    assert (limit.name, limit.key, limit.count) == ("api", "market_id", 1)
    assert hash(limit) == hash(RateLimit("api", key="market_id"))
    for wrong in ({"name": ""}, {"name": "api", "key": ""}, {"name": "api", "key": "not a name"}, {"name": 5}):
        with pytest.raises(InvalidOption):
            RateLimit(**wrong)
