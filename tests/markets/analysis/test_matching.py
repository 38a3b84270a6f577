"""Which titles ask the same thing; a wrong pair is worse than none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.analysis.matching import best, closing_window, same, similarity
from markets.analysis.questions import question
from tests.scheduling.properties import examples

CLOSES = datetime(2026, 11, 10, 17, tzinfo=UTC)

SAME = [
    ("Will Bitcoin be above $96,000 on November 10?", "Bitcoin price above 96k on Nov 10"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will BTC be above $96,000.00 on Nov. 10, 2026?"),
    ("Will Bitcoin be above $96,000 on November 10?", "Bitcoin above 96K on 10 November 2026"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will Bitcoin be over 96 thousand on 2026-11-10?"),
    ("Will Zelda Quimby visit Norway by October 31?", "Zelda Quimby will visit Norway by Oct 31"),
    (
        "Will the U.S. unemployment rate be at least 4.5% in March 2027?",
        "US unemployment rate 4.5% or higher in Mar 2027?",
    ),
    ("Which companies will be acquired before 2027? Initech AI", "Which companies acquired before 2027? Initech AI"),
    ("Will Renée Gagnon win the 2028 primary?", "Will Renee Gagnon win the 2028 primary?"),
    ("Will Zelda Quimby's party win 60 seats?", "Zelda Quimby\u2019s party to win 60 seats?"),
    ("Will the token launch with a value of $1.5B?", "Token launch with a market value of $1.5 billion?"),
    ("Will it snow more than 10 inches in Oslo?", "Snow greater than 10 inches in Oslo"),
]
OTHER = [
    ("Will Bitcoin be above $96,000 on November 10?", "Will Bitcoin be above $97,000 on November 10?"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will Bitcoin be above $96,000 on November 11?"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will Bitcoin be above $96,000 on November 10, 2027?"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will Bitcoin be below $96,000 on November 10?"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will Bitcoin be above $96,000 by November 10?"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will Ethereum be above $96,000 on November 10?"),
    ("Will Bitcoin be above $96,000 on November 10?", "Will Bitcoin close above $96,000 on November 10?"),
    ("Will Zelda Quimby visit Norway by October 31?", "Will Zelda Quimby invade Norway by October 31?"),
    ("Will Zelda Quimby visit Norway by October 31?", "Will Zelda Quimby not visit Norway by October 31?"),
    ("Will Zelda Quimby visit Norway by October 31?", "Will Zelda Quimby visit Norway before October 31?"),
    ("Will Zelda Quimby beat Otto Plank in 2028?", "Will Otto Plank beat Zelda Quimby in 2028?"),
    ("Will the rate be cut by 25 bps in December?", "Will the rate be raised by 25 bps in December?"),
    ("Will the rate be at least 4.5% in March?", "Will the rate be more than 4.5% in March?"),
    ("Will the rate be at least 4.5% in March?", "Will the rate be at least 4.5 in March?"),
    ("Will Zelda Quimby win the 2028 election?", "Will Zelda Quimby win the 2028 primary election?"),
    ("Will Initech ship 3 rockets in May 2027?", "Will Initech ship 3 rockets in June 2027?"),
    ("Will it be -5° in Oslo on January 3?", "Will it be 5° in Oslo on January 3?"),
    ("Ravens vs. Foxes, game 3 in Oslo", "Ravens vs. Foxes, game 3 in Oslo"),
    ("Oslo index up or down on November 10?", "Oslo index up or down on November 10?"),
    ("Bitcoin?", "Bitcoin?"),
    ("96,000 on November 10, 25 or 30", "96,000 on November 10, 25 or 30"),
    ("", ""),
]


def asks(one: str, other: str, *, apart: timedelta = timedelta(0)):
    return question(one, CLOSES), question(other, CLOSES + apart)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_asks_the_same_is_found_however_it_is_written(one, other):
    first, second = asks(one, other)
    assert same(first, second), (first, second)
    assert same(second, first)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_differs_in_a_number_a_date_a_bound_or_a_word_is_another_question(one, other):
    first, second = asks(one, other)
    assert not same(first, second), (first, second)
    assert not same(second, first)


def test_they_have_to_close_at_about_the_same_time():
    undated = "Will Zelda Quimby win in Norway?"
    assert same(*asks(undated, undated, apart=timedelta(hours=36)))
    assert not same(*asks(undated, undated, apart=timedelta(hours=37)))
    assert not same(question(undated, CLOSES), question(undated, None))
    dated = "Will Zelda Quimby win in Norway by November 9?"
    assert same(*asks(dated, dated, apart=timedelta(days=7)))
    assert not same(*asks(dated, dated, apart=timedelta(days=8)))


def test_a_month_alone_is_no_day():
    assert closing_window(question("Will it rain in Oslo in November 2026?")) == timedelta(hours=36)


def test_a_date_without_a_year_is_the_nearest_to_the_closing_time():
    (day,) = question("by December 31", datetime(2027, 1, 1, 4, tzinfo=UTC)).dates
    assert day == "2026-12-31"
    (day,) = question("by February 29", datetime(2028, 3, 1, tzinfo=UTC)).dates
    assert day == "2028-02-29"


def test_of_two_that_fit_equally_well_none_is_taken():
    asked = question("Will Zelda Quimby win in Norway?", CLOSES)
    other = question("Zelda Quimby will win in Norway", CLOSES)
    filled = question("Zelda Quimby will win the market in Norway", CLOSES)
    assert best(asked, {1: other}) == 1
    assert best(asked, {1: other, 2: other}) is None
    assert best(asked, {1: other, 2: filled}) == 1
    assert best(asked, {}) is None


WORDS = st.sampled_from((
    "Will", "Bitcoin", "bitcoin", "be", "above", "below", "by", "not", "the", "96k", "96,000", "$5", "5%", "November",
    "May", "10", "2026", "Oslo", "win", "Zelda", "or", "vs", "than", "more",
))  # fmt: skip
TITLES = st.one_of(st.lists(WORDS, max_size=9).map(" ".join), st.text(max_size=60))


@examples(300)
@given(TITLES, TITLES)
def test_any_two_titles_can_be_compared_either_way(one, other):
    first, second = asks(one, other)
    assert same(first, second) == same(second, first)
    assert similarity(first, second) == similarity(second, first)
    assert 0 <= similarity(first, second) <= 1
    if same(first, second):
        assert (first.numbers, first.dates, first.bounds) == (second.numbers, second.dates, second.bounds)
        assert set(first.words) == set(second.words)


@examples(300)
@given(TITLES)
def test_a_title_is_as_similar_to_itself_as_can_be(title):
    first, second = asks(title, title)
    assert first == second
    assert similarity(first, second) == (1 if first.tokens else 0)


@pytest.mark.parametrize("piece", ["9", "9,", "a.", "$", "-", "é", "1,234,", "or ", "May "])
def test_a_title_without_end_is_cut(piece):
    assert len(question(piece * 500_000, CLOSES).tokens) <= 400
