"""What a market's title asks: its words, names, numbers, dates and bounds, however the exchange writes them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

STOP = frozenset((
    "a", "an", "and", "are", "at", "be", "been", "being", "can", "could", "did", "do", "does", "during", "for",
    "from", "had", "has", "have", "how", "in", "is", "it", "its", "many", "much", "of", "on", "that", "the", "their",
    "there", "these", "this", "those", "to", "was", "were", "what", "when", "where", "which", "who", "whom", "whose",
    "will", "with", "would"
))  # fmt: skip
"""Words that ask nothing."""
FILLER = frozenset((
    "dollar", "dollars", "market", "markets", "official", "officially", "price", "prices", "usd", "value"
))  # fmt: skip
"""Words that one exchange writes and another leaves out."""
SAME = {
    "btc": "bitcoin", "eth": "ethereum", "usa": "us", "gop": "republican", "republicans": "republican",
    "democrats": "democrat", "democratic": "democrat", "sept": "september",
}  # fmt: skip
"""Words that are written in several ways."""
MORE, LESS = {"above", "greater", "higher", "more", "over"}, {"below", "fewer", "less", "lower", "under"}
BOUNDS = {
    **dict.fromkeys(("above", "over", "exceed", "exceeds", "exceeding"), ">"),
    **dict.fromkeys(("below", "under"), "<"),
    **{word: word for word in ("before", "after", "by", "until", "through", "between")},
    **dict.fromkeys(("not", "no", "never", "without", "cannot"), "not"),
}
"""What turns a question into another one."""
SIGNS = {">": ">", "<": "<", ">=": ">=", "<=": "<=", "≥": ">=", "≤": "<=", "+": ">="}
OPEN = frozenset(["or", "v", "vs", "versus"])
"""With these, a title does not say which side YES is."""
MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sep", "october oct", "november nov", "december dec"), start=1)
    for name in names.split()
}  # fmt: skip
UNITS = {
    "k": 10**3, "thousand": 10**3, "m": 10**6, "mn": 10**6, "million": 10**6, "b": 10**9, "bn": 10**9,
    "billion": 10**9, "t": 10**12, "trillion": 10**12,
}  # fmt: skip
FIRST_YEAR, LAST_YEAR = 1900, 2100
MOST = 400
"""Characters of a title that are looked at."""

_TOKEN = re.compile(
    r"""(?ix)
      (?P<iso> \b (?P<y>(?:19|20)\d\d) - (?P<m>\d\d) - (?P<d>\d\d) \b )
    | (?P<number> (?<![\w.]) (?:(?<![^\s(])[-\u2212])? \$? (?P<digits> \d{1,15}(?:,\d{3})*(?:\.\d{1,15})? ) )
      (?: (?P<percent> \s?% | \s?(?:percent|pct)\b ) | \s?(?P<unit> thousand|million|billion|trillion )\b
        | (?P<short> k|mn?|bn?|t )\b | (?: st|nd|rd|th )\b )? (?! \w )
    | (?P<sign> >=? | <=? | ≥ | ≤ | (?<=[\d%kmb])\+ )
    | (?P<word> [^\W_]+ (?:[&][^\W_]+)* )
    """
)
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_POSSESSIVE = re.compile(r"['\u2019]s\b|['\u2019]")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a title asks."""

    words: tuple[str, ...] = ()
    """Those of weight, each once, in their order."""
    fillers: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    """Of the words, those that begin with a capital."""
    numbers: frozenset[Decimal | str] = frozenset()
    """Percentages as text."""
    dates: frozenset[str] = frozenset()
    """Days as 2026-11-10, months as 2026-11."""
    bounds: frozenset[str] = frozenset()
    closes_at: datetime | None = None
    plain: tuple[str, ...] = ()
    """Of the words, those whose spelling is the title's own: to look for."""

    @property
    def tokens(self) -> frozenset[Any]:
        """All that it says."""
        return frozenset(self.words) | self.fillers | self.numbers | self.dates | {f"({each})" for each in self.bounds}


@dataclass(frozen=True)
class _Token:
    kind: str
    value: Any
    name: bool = False
    plain: bool = True


def question(title: str, closes_at: datetime | None = None) -> Question:
    """What a title asks. A date without a year is the one that is nearest to `closes_at`."""
    said, tokens = _Said(closes_at), list(_tokens(title[:MOST]))
    while tokens:
        tokens = said.take(tokens)
    return said.question()


def _tokens(title: str) -> Iterator[_Token]:
    text = _INITIALS.sub(lambda found: found[0].replace(".", ""), title)
    for found in _TOKEN.finditer(_POSSESSIVE.sub("", unicodedata.normalize("NFC", text))):
        if found["iso"]:
            yield _Token("date", f"{found['y']}-{found['m']}-{found['d']}")
        elif found["digits"]:
            yield _number(found)
        elif found["sign"]:
            yield _Token("bound", SIGNS[found["sign"]])
        else:
            yield _word(found["word"])


def _number(found: re.Match[str]) -> _Token:
    amount = Decimal(found["digits"].replace(",", ""))
    if found["number"][0] in "-\u2212":
        amount = -amount
    unit = found["unit"] or found["short"]
    if unit:
        amount *= UNITS[unit.lower()]
    return _Token("number", f"{amount.normalize():f}%" if found["percent"] else amount.normalize())


def _word(text: str) -> _Token:
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    lower = bare.casefold()
    value = SAME.get(lower, lower)
    return _Token("word", value, name=text[0].isupper(), plain=text.isascii() and value == lower and len(value) > 2)


class _Said:
    """What was read of a title so far."""

    def __init__(self, closes_at: datetime | None) -> None:
        self.closes_at = closes_at
        self.words: dict[str, _Token] = {}
        self.fillers: set[str] = set()
        self.numbers: set[Decimal | str] = set()
        self.dates: set[str] = set()
        self.bounds: set[str] = set()

    def take(self, tokens: list[_Token]) -> list[_Token]:
        """Read what is at the beginning; gives the rest."""
        for read in (self._date, self._bound):
            if taken := read(*[*tokens[:3], *[_Token("", None)] * 3][:3]):
                return tokens[taken:]
        first = tokens[0]
        if first.kind == "number":
            self.numbers.add(first.value)
        elif first.kind == "word":
            self._word(first)
        return tokens[1:]

    def _date(self, first: _Token, second: _Token, third: _Token) -> int:
        """How many tokens are a date: Nov 10, Nov 10 2026, 10 Nov 2026, Nov 2026, 2026-11-10."""
        if first.kind == "date":
            self.dates.add(first.value)
            return 1
        if _month(first) and _is_whole(second, FIRST_YEAR, LAST_YEAR):
            self.dates.add(f"{int(second.value)}-{_month(first):02}")
            return 2
        month, day = (first, second) if _month(first) else (second, first)
        if not _month(month) or not _is_whole(day, 1, 31):
            return 0
        year = int(third.value) if _is_whole(third, FIRST_YEAR, LAST_YEAR) else None
        self.dates.add(self._day(year, _month(month), int(day.value)))
        return 2 if year is None else 3

    def _day(self, year: int | None, month: int, day: int) -> str:
        closes = self.closes_at.date() if self.closes_at else None
        if year is None and closes:
            around = (closes.year - 1, closes.year, closes.year + 1)
            # In a leap year there may be no such day next to it.
            year = min(around, key=lambda each: abs(date(each, month, min(day, 28)) - closes))
        return f"{year or '????'}-{month:02}-{day:02}"

    def _bound(self, first: _Token, second: _Token, third: _Token) -> int:
        """How many tokens are a bound, such as: above, at least, or more, less than."""
        if first.kind == "bound":
            self.bounds.add(first.value)
            return 1
        if first.kind != "word":
            return 0
        pair = (first.value, second.value)
        if pair in (("at", "least"), ("at", "most")):
            self.bounds.add(">=" if pair[1] == "least" else "<=")
            return 2
        if first.value == "or" and second.value in MORE | LESS:
            self.bounds.add(">=" if second.value in MORE else "<=")
            return 2
        if second.value == "than" and first.value in MORE | LESS:
            self.bounds.add(">" if first.value in MORE else "<")
            return 2
        if first.value in BOUNDS or first.value in OPEN:
            self.bounds.add(BOUNDS.get(first.value, first.value))
            return 1
        return 0

    def _word(self, token: _Token) -> None:
        if token.value in FILLER:
            self.fillers.add(token.value)
        elif token.value not in STOP:
            self.words.setdefault(token.value, token)

    def question(self) -> Question:
        return Question(
            words=tuple(self.words),
            fillers=frozenset(self.fillers),
            names=frozenset(word for word, token in self.words.items() if token.name),
            numbers=frozenset(self.numbers),
            dates=frozenset(self.dates),
            bounds=frozenset(self.bounds),
            closes_at=self.closes_at,
            plain=tuple(word for word, token in self.words.items() if token.plain),
        )


def _month(token: _Token) -> int:
    """The number of a month's name; 0 for another token."""
    return MONTHS.get(token.value, 0) if token.kind == "word" else 0


def _is_whole(token: _Token, least: int, most: int) -> bool:
    value = token.value
    return token.kind == "number" and isinstance(value, Decimal) and value == int(value) and least <= value <= most
