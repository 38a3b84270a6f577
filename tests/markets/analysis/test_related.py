"""Which markets an analysis looks at besides, and by which index it finds them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from markets.analysis.related import asking_the_same, asks, candidates, looked_for, of_topic
from markets.models import Exchange, Market
from scheduling import clock

pytestmark = pytest.mark.django_db

ASKED = "Will Bitcoin be above $96,000 tomorrow in Oslo?"
SAME = "Bitcoin price above 96k tomorrow in Oslo"


def test_the_same_question_is_found_at_other_exchanges(market):
    mine = market(ASKED)
    there = market(SAME, exchange_id="kalshi")
    also = market(SAME, exchange_id="polymarket")
    market("Bitcoin above 97k tomorrow in Oslo", exchange_id="kalshi")
    assert asking_the_same(mine) == [there, also]
    assert asking_the_same(there) == [mine, also]


@pytest.mark.parametrize(
    "changed",
    [
        {"exchange_id": "opinion"},
        {"status": "closed"},
        {"kind": "categorical"},
        {"closes_at": None},
        {"closes_at": timedelta(days=9)},
    ],
    ids=str,
)
def test_what_is_of_the_same_exchange_or_over_or_closes_at_another_time_is_none(market, changed):
    if isinstance(changed.get("closes_at"), timedelta):
        changed = {"closes_at": clock.now() + changed["closes_at"]}
    mine = market(ASKED)
    market(SAME, **{"exchange_id": "kalshi"} | changed)
    assert asking_the_same(mine) == []


def test_an_exchange_that_is_switched_off_is_left_out(market):
    mine = market(ASKED)
    market(SAME, exchange_id="kalshi")
    Exchange.objects.filter(pk="kalshi").update(enabled=False)
    assert asking_the_same(mine) == []


def test_two_that_ask_the_same_at_one_exchange_are_doubtful(market):
    mine = market(ASKED)
    market(SAME, exchange_id="kalshi")
    market(SAME, exchange_id="kalshi")
    assert asking_the_same(mine) == []


def test_a_market_below_a_topic_asks_what_the_topic_asks(market):
    topic = market("Who will win the chess cup in Oslo?", kind="categorical")
    mine = market("Zelda Quimby", parent=topic)
    market("Otto Plank", parent=topic)
    other = market("Will win the chess cup in Oslo: Zelda Quimby", exchange_id="kalshi")
    assert asking_the_same(mine) == [other]
    assert asking_the_same(other) == [mine]


def test_markets_of_a_topic_and_of_an_event(market):
    topic = market("Who?", kind="categorical")
    mine, small, large = (
        market("A", parent=topic),
        market("B", parent=topic, volume=1),
        market("C", parent=topic, volume=9),
    )
    assert of_topic(mine) == [large, small]
    assert of_topic(market("Alone")) == []
    one, other = (market(f"K{n}", exchange_id="kalshi", external_id=f"KXCHESS-26-{n}") for n in "AB")
    market("Another event", exchange_id="kalshi", external_id="KXCHESS-27-A")
    assert of_topic(one) == [other]
    assert of_topic(market("No event", exchange_id="kalshi", external_id="KXALONE")) == []


def test_it_is_looked_for_by_the_longest_words_as_they_stand_in_the_title():
    title = "Will O'Hara's Bitcoin Élan be above 96k in Reykjavik, Oslo, Rome?"
    assert looked_for(asks(Market(title=title)).plain, title) == ["reykjavik", "bitcoin", "oslo"]


def test_without_a_word_or_a_closing_time_nothing_is_looked_for(market):
    for mine in (market("96 97 98"), market(ASKED, closes_at=None)):
        assert list(candidates(mine, asks(mine))) == []


def test_candidates_are_found_by_the_index_on_closing_times(market):
    """Among many markets only those that close at about the same time are read."""
    mine, now = market(ASKED), clock.now()
    row = {"exchange_id": "kalshi", "kind": "binary", "title": "Will it rain?", "status": "open", "volume": 1}
    Market.objects.bulk_create(
        Market(external_id=f"K{n}", closes_at=now + timedelta(hours=n), **row) for n in range(5_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE markets_market")
    assert "market_closing" in candidates(mine, asks(mine)).explain()
