"""Charts are SVG that holds only numbers and escaped words, of bounded size."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from markets.admin import charts
from markets.admin.words import money
from tests.scheduling.admin.functions import HOSTILE

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SPAN = charts.Span(since=NOON - timedelta(days=1), until=NOON)


def points(drawing: str) -> list[tuple[float, float]]:
    (found,) = re.findall(r'points="([^"]*)"', drawing)
    return [tuple(map(float, point.split(","))) for point in found.split()]


def draw(*values: str, **options) -> str:
    given = [(NOON - timedelta(hours=len(values) - n), D(value)) for n, value in enumerate(values)]
    return charts.line(given, SPAN, **{"label": "prices", "number": money} | options)


def test_a_line_goes_from_left_to_right_and_higher_is_up():
    drawn = points(draw("0.5", "0.6", "0.7"))
    assert [x for x, _y in drawn] == sorted(x for x, _y in drawn)
    assert [y for _x, y in drawn] == sorted((y for _x, y in drawn), reverse=True)
    assert all(0 <= x <= charts.WIDTH and 0 <= y <= charts.HEIGHT for x, y in drawn)


@pytest.mark.parametrize("values", [("0.5", "0.5"), ("0", "0"), ("1", "1", "1")])
def test_a_price_that_stands_still_is_a_level_line(values):
    assert len({y for _x, y in points(draw(*values))}) == 1


def test_one_point_is_no_line():
    assert draw("0.5") == "" == draw()


def test_many_points_are_thinned_to_the_last_of_each_place():
    many = [(SPAN.since + n * timedelta(seconds=10), D(n % 7)) for n in range(8_641)]
    drawn = points(charts.line(many, SPAN, label="", number=money))
    assert len(drawn) <= charts.WIDTH / charts.FINEST + 1
    assert drawn[-1][0] == charts.WIDTH


def test_words_are_escaped():
    mark = charts.Mark(at=NOON, kind="success", weight=1, words=HOSTILE)
    drawing = draw("0.5", "0.6", marks=[mark], label=HOSTILE)
    assert "<script" not in drawing and "<img" not in drawing
    assert "&lt;script&gt;" in drawing


def test_a_mark_lies_on_the_line():
    mark = charts.Mark(at=NOON - timedelta(minutes=90), kind="failed", weight=0.5, words="a trade")
    drawing = draw("0.5", "0.6", "0.7", marks=[mark])
    _, at_its_time, _ = points(drawing)
    (x, y) = re.search(r'd="M([\d.]+) ([\d.]+)h', drawing).groups()
    assert float(y) == at_its_time[1]
    assert at_its_time[0] < float(x) < charts.WIDTH


def test_columns_are_as_high_as_what_they_stand_for():
    half = timedelta(hours=12)
    columns = [
        (SPAN.since, SPAN.since + half, {"success": D(1), "failed": D(3)}),
        (NOON - half, NOON, {"success": D(2)}),
    ]
    drawing = charts.bars(columns, SPAN, label="volume", number=money)
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"', drawing)]
    assert heights == [12.0, 36.0, 24.0]
    assert charts.bars([], SPAN, label="volume", number=money) == ""


def test_depth_shows_bids_to_the_left_and_asks_to_the_right():
    drawing = charts.depth([("1 cent", D(0), D(5)), ("2 cents", D(10), D(5))], money)
    assert [float(width) for width in re.findall(r'width="([\d.]+)"', drawing)] == [0, 240, 480, 240]
    assert charts.depth([], money) == "" == charts.depth([("1 cent", D(0), D(0))], money)
