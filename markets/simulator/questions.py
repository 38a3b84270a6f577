"""Writes the question of a topic: its title, its options or labels, and its rules."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from markets.simulator import noise, words
from markets.simulator.timetable import MOST_CHILDREN


@dataclass(frozen=True)
class Question:
    label: str
    title: str
    options: tuple[str, ...] = ()
    """The titles of the children; none for a binary."""
    yes: str = "YES"
    no: str = "NO"


class Draw:
    """Draws words for one topic: each call gives the next word, the same ones every time."""

    def __init__(self, *key: noise.Key) -> None:
        self.key = key
        self.calls = 0

    def _next(self) -> tuple[noise.Key, ...]:
        self.calls += 1
        return (*self.key, self.calls)

    def one(self, options: tuple[str, ...]) -> str:
        return noise.pick(options, *self._next())

    def many(self, options: tuple[str, ...], count: int) -> list[str]:
        return noise.several(options, count, *self._next())

    def number(self, low: int, high: int) -> int:
        return noise.integer(low, high, *self._next())

    def children(self) -> int:
        return self.number(2, MOST_CHILDREN)

    def person(self) -> str:
        return f"{self.one(words.FIRST_NAMES)} {self.one(words.FAMILY_NAMES)}"

    def team(self) -> str:
        return f"{self.one(words.PLACES)} {self.one(words.TEAM_NAMES)}"


def _ranges(start: int, width: int, count: int, unit: str) -> tuple[str, ...]:
    """Ranges that leave no gap: "under 5 mm", "5-9 mm", "10 mm or more"."""
    edges = [start + width * step for step in range(count - 1)]
    middle = [f"{low}-{low + width - 1} {unit}" for low in edges[:-1]]
    return (f"under {start} {unit}", *middle, f"{edges[-1]} {unit} or more")


def _match(draw: Draw, day: str) -> Question:
    home, away = (f"{place} {draw.one(words.TEAM_NAMES)}" for place in draw.many(words.PLACES, 2))
    return Question("Sport", f"{home} vs {away}", yes=home, no=away)


def _trophy(draw: Draw, day: str) -> Question:
    return Question("Sport", f"Will the {draw.team()} lift the {draw.one(words.CUPS)} by {day}?")


def _rain(draw: Draw, day: str) -> Question:
    return Question("Weather", f"More than {draw.number(2, 60)} mm of rain in {draw.one(words.PLACES)} by {day}?")


def _vote(draw: Draw, day: str) -> Question:
    return Question("Politics", f"Will {draw.person()} be mayor of {draw.one(words.PLACES)} on {day}?")


def _launch(draw: Draw, day: str) -> Question:
    maker, product = draw.one(words.COMPANIES), draw.one(words.PRODUCTS)
    return Question("Technology", f"Will {maker} sell its first {product} before {day}?", yes="Yes", no="No")


def _rate(draw: Draw, day: str) -> Question:
    goods, money = draw.one(words.GOODS), draw.one(words.CURRENCIES)
    return Question("Economy", f"A sack of {goods} above {draw.number(20, 900)} in the {money} on {day}?")


def _prize(draw: Draw, day: str) -> Question:
    return Question("Culture", f'Will "{draw.one(words.FILMS)}" take the {draw.one(words.PRIZES)} by {day}?')


def _discovery(draw: Draw, day: str) -> Question:
    place, find = draw.one(words.PLACES), draw.one(words.DISCOVERIES)
    return Question("Science", f"Will the academy of {place} report {find} before {day}?", yes="Yes", no="No")


def _champion(draw: Draw, day: str) -> Question:
    places = draw.many(words.PLACES, draw.children())
    teams = tuple(f"{place} {draw.one(words.TEAM_NAMES)}" for place in places)
    return Question("Sport", f"Which team wins the {draw.one(words.CUPS)} of {day}?", teams)


def _warmth(draw: Draw, day: str) -> Question:
    options = _ranges(draw.number(-5, 20), draw.number(2, 5), max(3, draw.children()), "degrees")
    return Question("Weather", f"How warm will {draw.one(words.PLACES)} be on {day}?", options)


def _council(draw: Draw, day: str) -> Question:
    options = tuple(draw.many(words.PARTIES, draw.children()))
    return Question("Politics", f"Which list leads the council of {draw.one(words.PLACES)} on {day}?", options)


def _race(draw: Draw, day: str) -> Question:
    options = tuple(draw.many(words.COMPANIES, draw.children()))
    return Question("Technology", f"Who shows a working {draw.one(words.PRODUCTS)} first, by {day}?", options)


def _price(draw: Draw, day: str) -> Question:
    options = _ranges(draw.number(2, 9) * 10, 10, max(3, draw.children()), "florins")
    return Question("Economy", f"What will {draw.one(words.GOODS)} cost in {draw.one(words.PLACES)} on {day}?", options)


def _laureate(draw: Draw, day: str) -> Question:
    names = (f"{name} {draw.one(words.FAMILY_NAMES)}" for name in draw.many(words.FIRST_NAMES, draw.children()))
    return Question("Culture", f"Who receives the {draw.one(words.PRIZES)} on {day}?", tuple(names))


BINARY: tuple[Callable[[Draw, str], Question], ...] = (
    _match, _trophy, _rain, _vote, _launch, _rate, _prize, _discovery,
)  # fmt: skip
CATEGORICAL: tuple[Callable[[Draw, str], Question], ...] = (
    _champion, _warmth, _council, _race, _price, _laureate,
)  # fmt: skip


def ask(categorical: bool, closes_at: int, *key: noise.Key) -> Question:
    """The question of the topic with this key, about the moment at which it closes (epoch seconds)."""
    moment = datetime.fromtimestamp(closes_at, UTC)
    day = f"{moment.day} {moment:%B %Y}, {moment:%H:%M} UTC"
    writer = noise.pick(CATEGORICAL if categorical else BINARY, *key, "template")
    return writer(Draw(*key, "words"), day)


def rules(question: Question) -> str:
    """What decides the question, as markdown."""
    if question.options:
        return f"Exactly one option becomes **{question.yes}**: the one that the town crier announces at closing time."
    return (
        f"Settles as **{question.yes}** if the {question.label.lower()} desk of the Verrano Gazette says so "
        f"at closing time, and as **{question.no}** otherwise.\n\nLate editions do not count."
    )
