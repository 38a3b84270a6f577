"""Which markets have to do with one: those of its topic, and those of other exchanges that ask the same thing.

What may ask the same is found by the index on (status, closes_at): only open markets that close within some days
of it are looked at, however many there are in all. Of these, SQL gives those with its longest words, as every word of
weight has to be there; matching.py decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import F, Q, QuerySet

from markets.analysis.matching import best, closing_window
from markets.analysis.questions import Question, question
from markets.models import Market

MOST_RELATED = 20
MOST_CANDIDATES = 500
LOOKED_FOR = 3
"""So many of the longest words."""
EVENT = {"kalshi": "-"}
"""Where an id is that of an event, this, and what is asked of it."""


def of_topic(market: Market) -> list[Market]:
    """The other markets of its topic, the most traded first; at most 20."""
    if market.parent_id:
        rows = Market.objects.filter(parent=market.parent_id)
    elif event := _event(market):
        rows = Market.objects.of(market.exchange_id).filter(kind=market.kind, external_id__startswith=event)
    else:
        return []
    return list(rows.exclude(pk=market.pk).order_by("-volume", "-pk").defer("labels")[:MOST_RELATED])


def asking_the_same(market: Market) -> list[Market]:
    """Of each other exchange the open market that asks the same thing, if there is one beyond doubt."""
    asked = asks(market)
    found: dict[str, dict[int, Question]] = defaultdict(dict)
    rows = {row.pk: row for row in candidates(market, asked)}
    for row in rows.values():
        found[row.exchange_id][row.pk] = asks(row)
    chosen = (best(asked, questions) for _, questions in sorted(found.items()))
    return [rows[id] for id in chosen if id is not None]


def asks(market: Market) -> Question:
    """What a market asks, together with its topic."""
    return question(full_title(market), market.closes_at)


def full_title(market: Market) -> str:
    """Its title behind that of its topic: "Perplexity AI" alone asks nothing."""
    return f"{market.parent.title} {market.title}" if market.parent else market.title


def candidates(market: Market, asked: Question) -> QuerySet[Market]:
    """Open binary markets of other exchanges that close about when it does, with its longest words; at most 500."""
    words = looked_for(asked.plain, full_title(market))
    if market.closes_at is None or not words:
        return Market.objects.none()
    window = closing_window(asked)
    rows = Market.objects.open().filter(
        closes_at__range=(market.closes_at - window, market.closes_at + window), kind=Market.Kind.BINARY
    )
    for word in words:
        rows = rows.filter(Q(title__icontains=word) | Q(parent__title__icontains=word))
    others = rows.exclude(exchange=market.exchange_id).filter(exchange__enabled=True)
    return others.select_related("parent").order_by(F("volume").desc(), "pk")[:MOST_CANDIDATES]


def looked_for(words: Iterable[str], title: str) -> list[str]:
    """The longest of these words, as far as they stand in the title as they are."""
    there = title.casefold()
    return sorted((word for word in words if word in there), key=lambda word: (-len(word), word))[:LOOKED_FOR]


def _event(market: Market) -> str:
    """How the ids of all markets of its event begin; "" where ids do not tell."""
    mark = EVENT.get(market.exchange_id)
    event = market.external_id.rpartition(mark)[0] if mark else ""
    return f"{event}{mark}" if event else ""
