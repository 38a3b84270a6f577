"""Pages that overlap."""

import pytest

from markets.exceptions import BadAnswer
from markets.exchanges import paging
from markets.exchanges.rows import Page, Rejected
from tests.markets.rows import row


def page(*numbers, bad=()):
    rejected = tuple(Rejected(external_id=name, reason="x", raw=name) for name in bad)
    return Page(rows=tuple(row(number) for number in numbers), rejected=rejected, length=len(numbers) + len(bad))


def walk(*pages):
    return list(paging.once(iter(pages), path="/markets"))


def test_each_row_is_given_once_and_so_is_what_was_rejected():
    found = walk(page(1, 2, bad=["x"]), page(2, 3, bad=["x", "y"]), page(1, 2, 3, bad=["y"]))
    assert [[one.external_id for one in each.rows] for each in found] == [["1", "2"], ["3"], []]
    assert [[one.external_id for one in each.rejected] for each in found] == [["x"], ["y"], []]
    assert [each.length for each in found] == [3, 2, 0]


def test_two_pages_in_a_row_without_anything_new_end_the_walk():
    assert len(walk(page(1), page(1), page(2), page(2), page(1), page(3))) == 5


def test_a_walk_without_an_end_is_a_bad_answer(monkeypatch):
    monkeypatch.setattr(paging, "MAX_PAGES", 20)
    endless = (page(number) for number in range(1_000))
    with pytest.raises(BadAnswer, match="GET /markets: no end after 20 pages"):
        list(paging.once(endless, path="/markets"))
