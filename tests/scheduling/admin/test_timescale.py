"""The axis of a timeline: pure functions of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from scheduling.admin.timescale import APART, Scale

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds):
    return BEGIN + timedelta(seconds=seconds)


def scale(end, *busy):
    return Scale(BEGIN, at(end), [(at(since), at(until)) for since, until in busy])


def test_without_long_waits_it_is_even():
    even = scale(100, (0, 40), (70, 100))
    assert [even.at(at(seconds)) for seconds in (0, 25, 50, 100)] == [0, 25, 50, 100]
    assert even.folds == []


def test_a_wait_that_fills_nearly_all_is_folded_and_says_its_length():
    folded = scale(86410, (0, 5), (86405, 86410))
    assert [round(folded.at(at(seconds)), 6) for seconds in (0, 5, 86405, 86410)] == [0, 43, 57, 100]
    labels = folded.labels()
    assert [label.text for label in labels if label.folded] == ["1 d"]
    assert labels[0].text == "0" and any(label.text.startswith("+") for label in labels)


def test_what_only_waits_is_not_folded():
    assert scale(86400).folds == []
    assert scale(86400).at(at(43200)) == 50


def test_a_wait_at_the_end_is_folded_too():
    folded = scale(1000, (0, 10))
    assert [round(piece.width) for piece in folded.pieces] == [86, 14]


@pytest.mark.parametrize("waits", [6, 7])
def test_a_few_waits_are_folded_and_many_are_not(waits):
    busy = [(n * 10000, n * 10000 + 1) for n in range(waits + 1)]
    folded = scale(waits * 10000 + 1, *busy)
    assert len(folded.folds) == (6 if waits == 6 else 0)
    places = [folded.at(at(n * 1000)) for n in range(waits * 10 + 1)]
    assert places == sorted(places) and places[0] == 0


@pytest.mark.parametrize(
    "seconds", [0.000001, 0.004, 1, 7.5, 59, 61, 3600, 86399, 86400 * 45, 86400 * 800, 86400 * 9000]
)
def test_labels_stand_apart_and_are_few(seconds):
    labels = scale(seconds, (0, seconds)).labels()
    assert labels[0].text == "0" and labels[0].at == 0
    assert 2 <= len(labels) <= 8 or seconds < 0.001
    gaps = [right.at - left.at for left, right in pairwise(labels)]
    assert all(gap >= APART for gap in gaps)
    assert len({label.text for label in labels}) == len(labels)


def test_what_lies_outside_stands_at_an_edge():
    even = scale(10, (0, 10))
    assert even.at(at(-5)) == 0 and even.at(at(50)) == 100


def test_one_moment_is_an_axis_too():
    assert scale(0).at(BEGIN) == 0
