"""Waits between retries, whatever the policy: within their bounds, exact where nothing is drawn, stored as they are."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import transaction
from hypothesis import assume, given
from hypothesis import strategies as st

from scheduling import Retry, RetryAfter, action, jsontext, retrier, scheduler, testing
from scheduling.backoff import MAX_WAIT, draw
from scheduling.calls import policy as stored
from scheduling.cluster.outcomes import policy_of
from scheduling.exceptions import InvalidOption
from scheduling.models import State
from tests.scheduling.properties import examples

MICROSECOND = timedelta(microseconds=1)
uniforms = st.floats(0, 1, exclude_max=True)
parts = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0])
durations = st.one_of(
    st.floats(0, 1e5),
    st.integers(0, 10**9),
    st.timedeltas(timedelta(0), timedelta(days=36500)),
    st.sampled_from([0, 1e-9, 1e-6, 0.25, 60, 86400 * 366]),
)
bases = st.floats(1, 10) | st.floats(1, 1.7e308) | st.sampled_from([1, 1.0000001, 2, 3, 1e308])
policies = st.builds(
    Retry,
    initial_backoff=durations,
    base=bases,
    max_failures=st.integers(0, 10**6),
    max_backoff=st.none() | durations,
    jitter=parts,
)
retries = st.integers(1, 20) | st.integers(1, 2**31) | st.sampled_from([1, 2, 1023, 1024, 1025, 10**9])


def formula(policy: Retry, n: int, part: Fraction) -> Fraction:
    """The textbook, in fractions: initial · base^(n-1) · part, at most the cap, at most a year."""
    cap = MAX_WAIT if policy.max_backoff is None else min(policy.max_backoff, MAX_WAIT)
    return min(_power(exact(policy.initial_backoff), Fraction(policy.base), n - 1) * part, exact(cap))


def _power(start: Fraction, base: Fraction, times: int) -> Fraction:
    """start · base^times; a number past all caps where it is far past them."""
    if start == 0 or base == 1:
        return start
    if math.log(start) + times * math.log(base) > 600:
        return Fraction(10) ** 300
    return start * Fraction(float(base) ** times)  # within 1e-13 of itself: base^times has millions of digits


def exact(duration: timedelta) -> Fraction:
    return Fraction(duration // MICROSECOND, 1_000_000)


def close(wait: timedelta, wanted: Fraction) -> bool:
    return abs(exact(wait) - wanted) <= Fraction(1, 1_000_000) + wanted * Fraction(1, 10**9)


@examples(300)
@given(policies, retries, uniforms)
def test_a_wait_is_the_formula_for_the_number_that_is_drawn(policy, n, u):
    with testing.random(u):
        wait = policy.wait(n, draw())
    jitter = Fraction(policy.jitter)
    assert close(wait, formula(policy, n, 1 - jitter + 2 * jitter * Fraction(u)))


@examples(300)
@given(policies, retries, uniforms)
def test_a_wait_is_within_its_jitter_and_the_cap_comes_last(policy, n, u):
    wait, jitter = policy.wait(n, u), Fraction(policy.jitter)
    least, most = formula(policy, n, 1 - jitter), formula(policy, n, 1 + jitter)
    assert timedelta(0) <= wait <= MAX_WAIT
    assert policy.max_backoff is None or wait <= policy.max_backoff
    assert close(wait, least) or exact(wait) > least
    assert close(wait, most) or exact(wait) < most


@examples(200)
@given(policies, retries, uniforms, uniforms)
def test_without_jitter_a_wait_is_the_same_whatever_is_drawn_and_never_shrinks(policy, n, u, v):
    plain = policy.model_copy(update={"jitter": 0.0})
    assert plain.wait(n, u) == plain.wait(n, v) <= plain.wait(n + 1, u)


@examples(300)
@given(policies)
def test_a_policy_is_the_same_after_its_storage(policy):
    text = stored(policy)
    assert policy_of(fails, jsontext.loads(text)) == policy


@examples(200)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "initial_backoff": st.floats() | st.timedeltas(),
            "base": st.floats(),
            "max_failures": st.integers() | st.floats(),
            "max_backoff": st.floats() | st.timedeltas(),
            "jitter": st.floats(),
        },
    ),
    retries,
    uniforms,
)
def test_a_policy_is_refused_or_works(options, n, u):
    try:
        policy = Retry(**options)
    except InvalidOption:
        return
    assert timedelta(0) <= policy.wait(n, u) <= MAX_WAIT
    assert policy_of(fails, jsontext.loads(stored(policy))) == policy


@examples(200)
@given(st.floats(allow_nan=True) | st.integers() | st.timedeltas())
def test_retry_after_is_refused_or_waits_just_as_long_up_to_a_day(given):
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    try:
        wait = RetryAfter(given).wait
    except ValueError:
        assert not seconds >= 0
        return
    assert seconds >= 0
    assert wait == timedelta(seconds=min(seconds, 86400))


@action(name="properties.fails")
def fails(after: float | None = None) -> None:
    raise ValueError("again") if after is None else RetryAfter(after)


@pytest.mark.django_db
@examples(40)
@given(st.floats(0.001, 100), st.floats(1, 4), st.integers(0, 4), st.none() | st.floats(0.001, 50), parts, uniforms)
def test_a_run_waits_by_its_policy_after_each_failure_and_then_has_failed(initial, base, failures, most, jitter, u):
    policy = Retry(initial_backoff=initial, base=base, max_failures=failures, max_backoff=most, jitter=jitter)
    assume(all(policy.wait(n, u) for n in range(1, failures + 1)))  # else there is nothing to see
    with transaction.atomic(), testing.clock() as clock, testing.random(u):
        run = retrier.run(fails, **policy.model_dump())
        testing.drain()
        for n in range(1, failures + 1):
            assert retrier.status(run).next_retry_at == clock.now() + policy.wait(n, u)
            testing.advance(policy.wait(n, u))
        assert (retrier.status(run).state, retrier.status(run).attempts) == (State.FAILED, failures + 1)
        transaction.set_rollback(True)


@pytest.mark.django_db
@examples(40)
@given(st.floats(0.001, 1e6), parts, uniforms)
def test_a_body_that_says_when_is_tried_again_just_then(seconds, jitter, u):
    with transaction.atomic(), testing.clock() as clock, testing.random(u):
        run = scheduler.now(fails, {"after": seconds}, retry=Retry(jitter=jitter, max_backoff=0.5))
        testing.drain()
        assert retrier.status(run).next_retry_at == clock.now() + timedelta(seconds=min(seconds, 86400))
        transaction.set_rollback(True)
