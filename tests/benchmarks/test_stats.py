"""Percentiles and rates."""

import pytest

from benchmarks.stats import percentile, rate


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile([7], 99) == 7


def test_nothing_measured_has_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_rate_leaves_out_the_first_tenth():
    assert rate([(0.0, 5), (10.0, 10), (11.0, 100)]) == 90


def test_a_rate_over_all_counts_from_the_first_look():
    assert rate([(0.0, 10), (2.0, 30)], skip=0) == 10


def test_a_series_without_length_has_no_rate():
    with pytest.raises(ValueError, match="too short"):
        rate([(1.0, 100), (1.0, 100)])
