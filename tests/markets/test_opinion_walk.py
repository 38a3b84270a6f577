"""The walk over pages cut by position, in catalogues that move under it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from markets.exceptions import BadAnswer
from markets.exchanges.opinion.walk import PER_PAGE, walk
from markets.exchanges.rows import Page, Rejected
from tests.markets.rows import row


class Catalogue:
    """Topics by number, the newest first, which change after each page that is read."""

    def __init__(self, *topics: int, changes=(), total: int | None = None) -> None:
        self.topics = list(topics)
        self.changes = list(changes)
        self.total = total
        self.read: list[int] = []

    def pages(self, numbers):
        for number in numbers:
            self.read.append(number)
            rows = [row(topic) for topic in self.topics[(number - 1) * PER_PAGE : number * PER_PAGE]]
            total = len(self.topics) if self.total is None else self.total
            yield Page(rows=tuple(rows), length=len(rows), total=total)
            if self.changes:
                self.changes.pop(0)(self.topics)

    def walk(self) -> list[int]:
        return [int(row.external_id) for page in walk(self.pages) for row in page.rows]


def added(*topics):
    return lambda there: there.__setitem__(slice(0, 0), topics)


def ended(*topics):
    return lambda there: [there.remove(topic) for topic in topics]


def test_a_catalogue_that_stands_still_is_read_once():
    catalogue = Catalogue(*range(50))
    assert catalogue.walk() == list(range(50)) and catalogue.read == [1, 2, 3]


def test_topics_pushed_to_the_next_page_are_met_once():
    catalogue = Catalogue(*range(60), changes=[added(100, 101)])
    found = catalogue.walk()
    assert set(range(60)) <= set(found) and len(found) == len(set(found))


def test_topics_that_slip_to_a_page_that_was_read_are_met_by_reading_again():
    catalogue = Catalogue(*range(60), changes=[ended(3, 4, 5)])
    found = catalogue.walk()
    assert sorted(found) == list(range(60)), "20, 21 and 22 slipped to the first page"
    assert catalogue.read == [1, 2, 3, 1, 2], "not all of it is read again"


def test_new_topics_are_met_by_reading_the_first_pages_again():
    catalogue = Catalogue(*range(60), changes=[added(100, 101)])
    assert {100, 101} <= set(catalogue.walk()) and catalogue.read == [1, 2, 3, 4, 1]


def test_what_is_counted_is_what_was_met_once():
    catalogue = Catalogue(*range(60), changes=[ended(3, 4, 5)])
    pages = list(walk(catalogue.pages))
    assert sum(page.length for page in pages) == 60 and [page.total for page in pages][-1] == 57


def test_a_total_that_is_never_reached_costs_one_more_sweep_at_most():
    catalogue = Catalogue(*range(40), total=1000)
    assert catalogue.walk() == list(range(40))
    assert catalogue.read.count(1) == 2


def test_topics_that_come_while_it_is_walked_are_not_waited_for_for_ever():
    grow = [added(1000 + page) for page in range(500)]
    catalogue = Catalogue(*range(60), changes=grow)
    assert set(range(60)) <= set(catalogue.walk()) and len(catalogue.read) < 15


def test_a_bad_topic_counts_once():
    bad = Rejected(external_id="7", reason="volume", raw="{}")
    page = Page(rows=(row(1),), rejected=(bad,), length=2, total=3)
    pages = list(walk(lambda numbers: (page for _ in numbers)))
    assert sum(len(page.rejected) for page in pages) == 1 and sum(page.length for page in pages) == 2


def test_an_exchange_that_repeats_itself_does_not_hold_it():
    read = []

    def same(numbers):
        for number in numbers:
            read.append(number)
            yield Page(rows=tuple(row(topic) for topic in range(20)), length=20, total=10_000)

    assert sum(len(page.rows) for page in walk(same)) == 20 and len(read) == 6


def test_a_total_without_end_is_no_catalogue():
    with pytest.raises(BadAnswer, match="more than 5,000 pages"):
        Catalogue(*range(20), total=10**12).walk()


def test_an_empty_catalogue_says_nothing_of_its_total():
    (page,) = walk(lambda numbers: iter([Page(total=0)]))
    assert page.total is None and page.rows == ()


CHANGES = st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.integers(0, 200)), max_size=8)


ONLY_A_FULL_PAGE_LEFT = [(False, 1, 0), (False, 2, 0), (False, 3, 0), (True, 1, 0), (True, 1, 0), (False, 1, 0)]


@settings(max_examples=200, deadline=None)
@example(size=125, changes=ONLY_A_FULL_PAGE_LEFT)
@given(size=st.integers(0, 130), changes=CHANGES)
def test_whatever_moves_no_topic_is_met_twice_and_who_stayed_is_met(size, changes):
    numbers = iter(range(1000, 2000))
    gone: set[int] = set()

    def change(new, count, place):
        def apply(there):
            for _ in range(count):
                if new:
                    there.insert(0, next(numbers))
                elif there:
                    gone.add(there.pop(place % len(there)))

        return apply

    catalogue = Catalogue(*range(size), changes=[change(*one) for one in changes])
    found = catalogue.walk()
    assert len(found) == len(set(found))
    if len(changes) < len(range(0, size, PER_PAGE)):  # what moves later moves in the second sweep too
        assert set(range(size)) - gone <= set(found)
