"""Market stats: a list, and charts of 30 days above it."""

from __future__ import annotations

import pytest

from tests.markets.admin.conftest import BUDGET, listed

pytestmark = pytest.mark.django_db

URL = listed("marketstats")


def test_the_charts_are_of_all_exchanges_together_or_of_one(viewer, stats):
    for hours in range(1, 30):
        stats(hours)
        stats(hours, "opinion", total_volume=5)
    page = viewer.look(URL)
    assert page.count("<polyline") == 3
    assert "all exchanges together, the last 30 days" in page
    assert "$1,029" in page and "$1,001" in page
    assert viewer.queries <= BUDGET
    page = viewer.look(URL, exchange="opinion")
    assert "opinion, the last 30 days" in page
    assert page.count("<polyline") == 3
    assert "29 market stats" in page
    assert "29 market stats" in viewer.look(URL, exchange="together")


def test_what_is_older_than_30_days_is_not_drawn(viewer, stats):
    stats(30 * 24 + 1)
    stats(1)
    page = viewer.look(URL)
    assert "<polyline" not in page
    assert "There are not two points yet" in page


def test_an_average_price_that_is_not_known_is_left_out(viewer, stats):
    for hours in range(5):
        stats(hours, average_price=None)
    assert viewer.look(URL).count("<polyline") == 2


@pytest.mark.parametrize("exchange", ["nowhere", "a\0b", "<script>alert(1)</script>"])
def test_an_exchange_that_is_none_shows_nothing(viewer, stats, exchange):
    stats()
    page = viewer.look(URL, exchange=exchange)
    assert "0 market stats" in page
    assert "<script>alert" not in page


def test_queries_do_not_grow_with_rows(viewer, stats):
    stats()
    viewer.look(URL)
    few = viewer.queries
    for hours in range(2, 70):
        stats(hours)
    viewer.look(URL)
    assert viewer.queries == few <= BUDGET
