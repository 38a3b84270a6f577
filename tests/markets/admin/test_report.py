"""A report's page: the figures in words, and why some are missing."""

from __future__ import annotations

import pytest

from markets.admin.report_words import sentences
from tests.markets.admin.conftest import BUDGET, FIGURES, listed, page_of
from tests.scheduling.admin.functions import HOSTILE

pytestmark = pytest.mark.django_db


def test_the_figures_in_words():
    elsewhere = [
        {"market": 1, "exchange": "kalshi", "title": "?", "price": "0.6", "difference": "0.02"},
        {"market": 2, "exchange": "polymarket", "title": "?", "price": "0.63", "difference": "-0.01"},
        {"market": 3, "exchange": "opinion", "title": "?", "price": "0.62", "difference": "0"},
        {"market": 4, "exchange": "opinion", "title": "?", "price": None, "difference": None},
    ]
    assert sentences(FIGURES | {"elsewhere": elsewhere}) == [
        "A YES share costs 0.62: the middle between bid and ask.",
        "The best bid is 0.6 and the best ask 0.64: 4 cents lie between them.",
        "Within 1 cent of the mid, $0 are bid and $0 asked.",
        "Within 2 cents of the mid, $60 are bid and $32 asked.",
        "Within 5 cents of the mid, $1,160 are bid and $32 asked.",
        "In the last day its price moved by 3.1 cents, step by step.",
        "Over the last 30 days it moved by 2.2 cents a day.",
        "Whales traded $12,000 in the last 24 hours: 2.40 times an average day of the 7 before.",
        "7 wallets made these trades, as far as they are known (100% of the dollars): the largest has 40%, "
        "the five largest 92.5%. Herfindahl index: 0.244.",
        "At kalshi the same costs 0.6: 2 cents less than here.",
        "At polymarket the same costs 0.63: 1 cent more than here.",
        "At opinion the same costs 0.62, too.",
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"best_ask": None, "spread": None}, "The best bid is 0.6, and nobody sells."),
        ({"best_bid": None, "spread": None}, "The best ask is 0.64, and nobody buys."),
        ({"spread": None}, "The best bid, 0.6, is above the best ask, 0.64: the book was read while it moved."),
        ({"volume_trend": None}, "Whales traded $12,000 in the last 24 hours, and nothing in the 7 days before."),
    ],
)
def test_what_is_one_sided_or_has_nothing_to_compare_with(changed, words):
    assert words in sentences(FIGURES | changed)


def test_nothing_is_said_of_what_is_not_known():
    assert sentences(dict.fromkeys(FIGURES)) == []
    assert sentences({}) == []


def test_a_report_shows_its_figures_its_depth_and_its_inputs(viewer, market, report):
    other = market(exchange_id="kalshi")
    there = {"market": other.pk, "exchange": "kalshi", "title": other.title, "price": "0.6", "difference": "0.02"}
    late = {"read_at": "2026-11-20T12:00:00+00:00", "missing": "GET /history: no answer (timeout)"}
    row = report(market(), inputs={"month": late}, elsewhere=[there])
    page = viewer.look(page_of(row))
    assert "At kalshi the same costs 0.6: 2 cents less than here." in page
    assert page_of(other) in page and page_of(row.market) in page
    assert "2 cents: $60 bid, $32 asked" in page
    assert page.count("no answer (timeout)") == 1 and ">missing<" in page
    assert 'datetime="2026-11-20T12:00:00+00:00"' in page
    assert viewer.queries <= BUDGET


def test_a_report_without_figures_opens_too(viewer, market, report):
    row = report(market(), **dict.fromkeys(FIGURES))
    assert "Nothing could be told." in viewer.look(page_of(row))
    row.inputs = {}
    row.save()
    assert "not asked for" in viewer.look(page_of(row))
    viewer.look(listed("report"))


def test_queries_of_the_list_do_not_grow_with_rows(viewer, market, report):
    report(market())
    viewer.look(listed("report"))
    few = viewer.queries
    for _ in range(60):
        report(market())
    page = viewer.look(listed("report"))
    assert viewer.queries == few <= BUDGET
    assert "4 cents" in page and "3.1 cents" in page


def test_what_comes_from_outside_is_escaped(viewer, market, report):
    there = {"market": 1, "exchange": HOSTILE, "title": HOSTILE, "price": "0.6", "difference": "0.02"}
    row = report(market(title=HOSTILE), inputs={"book": {"missing": HOSTILE}}, elsewhere=[there], related=[there])
    for url in (listed("report"), page_of(row), page_of(row.market)):
        page = viewer.look(url)
        assert "<script>alert" not in page and "<img src=x" not in page
        assert "&lt;script&gt;alert(1)" in page
