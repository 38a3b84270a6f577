"""Whether two markets ask the same thing. A wrong pair is worse than none: in doubt they do not.

Numbers, dates, bounds ("above", "by", "not") and all words of weight have to agree, names in their order too; both
have to close at about the same time. What only one of the two says may be filler, and not much of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction

from markets.analysis.questions import OPEN, Question

LEAST = Fraction(3, 4)
"""How similar two titles are at least."""
LEAST_TOKENS, LEAST_WORDS = 3, 1
"""A title that says less may be about anything."""
NEAR, NEAR_SAME_DAY = timedelta(hours=36), timedelta(days=7)
"""How far apart two closing times are at most; the latter where both titles name the same day."""


def similarity(one: Question, other: Question) -> Fraction:
    """The share of what both say in all that is said, from 0 to 1: words, numbers, dates and bounds count alike."""
    everything = one.tokens | other.tokens
    return Fraction(len(one.tokens & other.tokens), len(everything)) if everything else Fraction(0)


def same(one: Question, other: Question) -> bool:
    """Whether these two ask the same thing."""
    return (
        _says_enough(one)
        and (one.numbers, one.dates, one.bounds) == (other.numbers, other.dates, other.bounds)
        and set(one.words) == set(other.words)
        and _names(one, other) == _names(other, one)
        and _close_together(one, other)
        and similarity(one, other) >= LEAST
    )


def closing_window(question: Question) -> timedelta:
    """How far from its closing time what asks the same may close."""
    return NEAR_SAME_DAY if any(len(day) == len("2026-11-10") for day in question.dates) else NEAR


def best(asked: Question, found: Mapping[int, Question]) -> int | None:
    """Of the markets of one exchange the one that asks the same; None where none does, or two do so equally well."""
    alike = sorted(((similarity(asked, other), id) for id, other in found.items() if same(asked, other)), reverse=True)
    if not alike or (len(alike) > 1 and alike[0][0] == alike[1][0]):
        return None
    return alike[0][1]


def _says_enough(question: Question) -> bool:
    said = len(question.words) + len(question.numbers) + len(question.dates)
    return said >= LEAST_TOKENS and len(question.words) >= LEAST_WORDS and not question.bounds & OPEN


def _names(question: Question, other: Question) -> list[str]:
    """In the order of the first: the words that are names in either."""
    return [word for word in question.words if word in question.names | other.names]


def _close_together(one: Question, other: Question) -> bool:
    if one.closes_at is None or other.closes_at is None:
        return False
    return abs(one.closes_at - other.closes_at) <= closing_window(one)
