"""Percentiles and rates."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def rate(series: Sequence[tuple[float, int]], skip: float = 0.1) -> float:
    """Jobs a second from a series of (seconds, jobs done so far), without its first part, in which workers warm up."""
    end, done = series[-1]
    warm = next((time, count) for time, count in series if count >= done * skip and count > 0)
    if warm[1] == done or warm[0] == end:
        raise ValueError("the series is too short for a rate")
    return (done - warm[1]) / (end - warm[0])
