"""Values in words: pure functions."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta

import pytest

from scheduling.admin import display, job_page, limit_page, paging

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (0.4, "now"), (1, "1 s ago"), (59.9, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"),
     (86399, "23 h ago"), (86400, "1 d ago"), (10**8, "1157 d ago"), (-0.2, "now"), (-90, "in 1 min")],
)  # fmt: skip
def test_relative(seconds, words):
    assert display.relative(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 ms"), (0.0341, "34 ms"), (1, "1 s"), (1.234, "1.23 s"), (59.96, "60 s"), (60, "1 min"), (184, "3 min 4 s"),
     (7500, "2 h 5 min"), (90000, "1 d 1 h"), (-3, "0 ms"), (None, "-")],
)  # fmt: skip
def test_duration(seconds, words):
    assert display.duration(None if seconds is None else timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("{}", ""),
        ('{"n":1,"who":"a"}', 'n=1, who="a"'),
        ("[1]", "[1]"),
        ('{"cut', '{"cut'),
        ('{"é":"\\u00e9"}', 'é="é"'),
    ],
)
def test_arguments(stored, shown):
    assert display.arguments(stored) == shown


def test_long_text_is_cut():
    assert len(display.shortened("x" * 500)) == display.SHORT
    assert display.last_line("Traceback\n  File\nValueError: no\n\n") == "ValueError: no"
    assert display.last_line(" \n") == ""


def test_a_moment_is_in_utc_until_a_script_makes_it_local():
    berlin = NOW.astimezone(display.UTC) - timedelta(seconds=12)
    html = display.moment(berlin, NOW)
    assert 'datetime="2026-03-01T11:59:48+00:00"' in html
    assert "2026-03-01 11:59:48 UTC" in html
    assert "12 s ago" in html
    assert display.moment(None, NOW) == "-"


@pytest.mark.parametrize(
    ("part", "whole", "width"),
    [(3, 10, "30"), (0, 10, "0"), (12, 10, "100"), (-3, 10, "0"), (1, 3, "33.33"), (0, 0, "0"), (1, 0, "100")],
)
def test_how_full_something_is_is_drawn_within_its_bounds(part, whole, width):
    assert f'<rect class="fill-part" width="{width}"' in display.fill(part, whole)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (60.0, "60"),
        (1234567.891, "1,234,567.89"),
        (0.001, "0.001"),
        (0, "0"),
        (-2.5, "-2.5"),
        (1e12, "1,000,000,000,000"),
    ],
)
def test_number(value, words):
    assert display.number(value) == words


def test_bounded_counts():
    assert [str(paging.Bounded(n)) for n in (0, 9999, 10_000, 10_001)] == ["0", "9,999", "10,000", "10,000+"]


@pytest.mark.parametrize("module", [display, job_page, limit_page])
def test_the_examples_in_docstrings_are_true(module):
    assert doctest.testmod(module).failed == 0
