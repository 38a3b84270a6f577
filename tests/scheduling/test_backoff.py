"""The arithmetic of retries, without a database."""

from __future__ import annotations

import doctest
import random as randomness
from datetime import timedelta
from importlib import import_module

import pytest

from scheduling import Retry, RetryAfter, backoff
from scheduling.exceptions import InvalidOption


def seconds(policy, n, uniform):
    return policy.wait(n, uniform).total_seconds()


def test_the_defaults():
    policy = Retry()
    assert policy.model_dump(mode="json") == {
        "initial_backoff": 0.25,
        "base": 2.0,
        "max_failures": 4,
        "max_backoff": None,
        "jitter": 0.5,
    }


@pytest.mark.parametrize(
    ("options", "n", "uniform", "expected"),
    [
        ({}, 1, 0.0, 0.125),
        ({}, 1, 0.5, 0.25),
        ({}, 4, 0.5, 2.0),
        ({}, 4, 0.75, 2.5),
        ({"initial_backoff": 10, "base": 3, "jitter": 0}, 3, 0.9, 90),
        ({"initial_backoff": 10, "base": 3, "jitter": 1}, 3, 0.0, 0),
        ({"initial_backoff": 10, "base": 3, "jitter": 1}, 2, 0.25, 15),
        ({"initial_backoff": 1, "base": 1, "jitter": 0}, 50, 0.0, 1),
        ({"initial_backoff": 0}, 3, 0.9, 0),
    ],
)
def test_a_wait_is_the_formula_to_the_number(options, n, uniform, expected):
    assert seconds(Retry(**options), n, uniform) == pytest.approx(expected, abs=1e-6)


def test_a_wait_stays_within_its_jitter_whatever_the_draw():
    policy = Retry(initial_backoff=4, base=2, jitter=0.25)
    draw = randomness.Random(7)
    for n in range(1, 8):
        nominal = 4 * 2 ** (n - 1)
        waits = [seconds(policy, n, draw.random()) for _ in range(200)]
        assert 0.75 * nominal <= min(waits) < max(waits) < 1.25 * nominal


def test_the_cap_comes_last():
    policy = Retry(initial_backoff=10, base=2, max_backoff=30, jitter=0.5)
    assert seconds(policy, 3, 0.0) == 20  # 40 · 0.5, under the cap
    assert seconds(policy, 3, 0.5) == 30  # 40, cut
    assert seconds(policy, 2, 0.999) == pytest.approx(29.98)  # 20 · 1.499
    assert seconds(policy, 9, 0.999) == 30


def test_a_cap_of_nothing_means_no_wait():
    assert seconds(Retry(max_backoff=0), 3, 0.5) == 0


@pytest.mark.parametrize("uniform", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("n", [2, 300, 2000, 10**9])
@pytest.mark.parametrize("base", [2, 1e10, 1e308])
def test_a_series_that_overflows_waits_at_most_its_cap_or_a_year(n, base, uniform):
    policy = Retry(initial_backoff=10, base=base, jitter=1)
    assert timedelta(0) <= policy.wait(n, uniform) <= backoff.MAX_WAIT
    assert Retry(initial_backoff=10, base=base, max_backoff=60).wait(n, uniform) <= timedelta(seconds=60)


def test_no_first_wait_means_none_ever():
    assert seconds(Retry(initial_backoff=0, base=10), 5000, 0.5) == 0


@pytest.mark.parametrize(("most", "failures"), [(0, 0), (1, 1), (4, 4)])
def test_max_failures_is_how_many_failures_are_tried_again(most, failures):
    policy = Retry(max_failures=most)
    assert [policy.allows(n) for n in range(1, 7)].count(True) == failures
    assert not policy.allows(failures + 1)


def test_durations_are_seconds_or_timedelta():
    assert Retry(initial_backoff=timedelta(milliseconds=500), max_backoff=timedelta(minutes=1)) == Retry(
        initial_backoff=0.5, max_backoff=60
    )


def test_a_policy_survives_its_storage():
    policy = Retry(initial_backoff=0.1, base=1.5, max_failures=7, max_backoff=9.5, jitter=0.3)
    assert Retry(**policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(
    "options",
    [
        {"initial_backoff": -1},
        {"initial_backoff": True},
        {"initial_backoff": float("nan")},
        {"initial_backoff": float("inf")},
        {"initial_backoff": 1e300},
        {"initial_backoff": None},
        {"base": 0.5},
        {"base": float("inf")},
        {"base": float("nan")},
        {"max_failures": -1},
        {"max_failures": 1.5},
        {"max_backoff": -1},
        {"max_backoff": float("inf")},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"jitter": float("nan")},
        {"retries": 3},
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options):
    with pytest.raises(InvalidOption, match=f"Retry: {next(iter(options))}"):
        Retry(**options)


def test_a_policy_does_not_change():
    with pytest.raises(Exception, match="frozen"):
        Retry().base = 3


@pytest.mark.parametrize(
    ("given", "wait"),
    [(90, 90), (timedelta(minutes=2), 120), (0, 0), (10**9, 86400), (float("inf"), 86400), (1e300, 86400)],
)
def test_retry_after_waits_at_most_a_day(given, wait):
    assert RetryAfter(given).wait == timedelta(seconds=wait)


@pytest.mark.parametrize("given", [-1, float("nan"), timedelta(seconds=-1)])
def test_retry_after_refuses_what_is_no_wait(given):
    with pytest.raises(ValueError):
        RetryAfter(given)


@pytest.mark.parametrize("module", ["backoff", "schedules", "functions", "clock", "exceptions"])
def test_the_examples_in_docstrings_are_true(module):
    assert doctest.testmod(import_module(f"scheduling.{module}")).failed == 0
