"""What a topic is: everything about it that does not change while it lives."""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from markets.simulator import noise
from markets.simulator.questions import Question, ask, rules
from markets.simulator.timetable import Opening, Timetable
from markets.simulator.words import LABELS, LOCAL_LABEL

EARLY_CHILD = 0.25  # share of children that close before their topic
NEVER_TRADED = 0.06  # share of markets
TOKEN_TAIL = 15  # last digits of a token id: the market's number and the side


class Status(IntEnum):
    CREATED = 1
    ACTIVATED = 2
    RESOLVING = 3
    RESOLVED = 4


@dataclass(frozen=True, eq=False)
class Market:
    """What is traded: a binary topic, or one child of a categorical topic."""

    key: str
    """Names it in every draw of chance."""
    number: int
    title: str
    slug: str
    yes_label: str
    no_label: str
    opened_at: int
    closes_at: int
    resolved_at: int
    yes_wins: bool
    beat: int
    """Seconds from trade to trade; 0 = never traded."""
    trade_value: float
    """The mean value of a trade, USDT."""
    base: float
    """Where the price begins, as log-odds."""
    walk: str
    """Names the walk of its price: markets of two exchanges that ask the same share it."""
    tick: int = 1
    """The finest price, in thousandths."""

    def status(self, at: int) -> Status:
        return _status(self, at)

    @cached_property
    def yes_token(self) -> str:
        return _token(self.key, self.number, 0)

    @cached_property
    def no_token(self) -> str:
        return _token(self.key, self.number, 1)

    @property
    def condition(self) -> str:
        return noise.hexadecimal(64, self.key, "condition")

    @property
    def life(self) -> int:
        """Seconds."""
        return self.closes_at - self.opened_at


@dataclass(frozen=True, eq=False)
class Topic:
    """A row of the catalogue: a binary market, or a categorical topic with its children."""

    key: str
    categorical: bool
    number: int
    slug: str
    question: Question
    rules: str
    labels: tuple[tuple[str, int], ...]
    opened_at: int
    closes_at: int
    resolved_at: int
    markets: tuple[Market, ...]
    """The children; of a binary topic itself, alone."""

    def status(self, at: int) -> Status:
        return _status(self, at)


def _status(thing: Market | Topic, at: int) -> Status:
    if at < thing.closes_at:
        return Status.ACTIVATED
    return Status.RESOLVING if at < thing.resolved_at else Status.RESOLVED


def _token(key: str, number: int, side: int) -> str:
    head = noise.bits(key, "token") % 9 * 10**61 + int(noise.hexadecimal(50, key, side, "token"), 16)
    return f"{head}{number * 2 + side:0{TOKEN_TAIL}d}"


def market_of_token(token: str) -> int:
    """The number that a token id ends with (the token still has to be compared with the market's own)."""
    return int(token[-TOKEN_TAIL:]) // 2


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def topic_of_slug(slug: str) -> tuple[bool, int] | None:
    """Kind and number written in a slug; None where it holds none."""
    found = re.search(r"-([bc])0(\d+)(?:-|$)", slug)
    return (found[1] == "c", int(found[2])) if found else None


def build(timetable: Timetable, opening: Opening) -> Topic:
    """The topic that opens there and then."""
    categorical, number = opening.slot.categorical, opening.number
    kind = "c" if categorical else "b"
    key = f"{timetable.seed}/{kind}{number}"
    question = ask(categorical, opening.closes_at, key)
    topic = Topic(
        key=key,
        categorical=categorical,
        number=number,
        slug=f"{_slug(question.title)}-{kind}0{number}",
        question=question,
        rules=rules(question),
        labels=_labels(key, question.label),
        opened_at=opening.opened_at,
        closes_at=opening.closes_at,
        resolved_at=timetable.resolved_at(opening),
        markets=(),
    )
    markets = _children(topic, opening) if categorical else (_binary(topic),)
    return Topic(**{**topic.__dict__, "markets": markets})


def _labels(key: str, label: str) -> tuple[tuple[str, int], ...]:
    own = (label, LABELS[label])
    return (own, LOCAL_LABEL) if noise.chance(0.3, key, "local") else (own,)


def _binary(topic: Topic) -> Market:
    return _market(
        topic,
        key=topic.key,
        number=topic.number,
        title=topic.question.title,
        slug=topic.slug,
        yes_wins=noise.chance(0.45, topic.key, "outcome"),
        base=noise.between(-2.0, 2.0, topic.key, "base"),
    )


def _children(topic: Topic, opening: Opening) -> tuple[Market, ...]:
    winner = noise.bits(topic.key, "outcome") % len(topic.question.options)
    return tuple(_child(topic, opening, place, place == winner) for place in range(len(topic.question.options)))


def _child(topic: Topic, opening: Opening, place: int, wins: bool) -> Market:
    key, title = f"{topic.key}/{place}", topic.question.options[place]
    early = not wins and noise.chance(EARLY_CHILD, key, "early")
    life = topic.closes_at - topic.opened_at
    closes_at = topic.opened_at + int(life * noise.between(0.2, 0.9, key, "life")) if early else topic.closes_at
    return _market(
        topic,
        key=key,
        number=opening.child_number(place),
        title=title,
        slug=f"{topic.slug}-{_slug(title)}",
        opened_at=topic.opened_at + place,
        closes_at=closes_at,
        resolved_at=closes_at + topic.resolved_at - topic.closes_at,
        yes_wins=wins,
        base=noise.between(-2.5, 0.5, key, "base"),
    )


def _market(topic: Topic, *, key: str, **facts: object) -> Market:
    """A market with the habits of its traders; times and labels are the topic's unless given."""
    silent = noise.chance(NEVER_TRADED, key, "silent")
    given = {
        "walk": key,
        "yes_label": topic.question.yes,
        "no_label": topic.question.no,
        "opened_at": topic.opened_at,
        "closes_at": topic.closes_at,
        "resolved_at": topic.resolved_at,
        "beat": 0 if silent else round(noise.log_between(4, 900, key, "beat")),
        "trade_value": noise.log_between(5, 20_000, key, "value"),
    }
    return Market(key=key, **(given | facts))  # type: ignore[arg-type]
