"""Arguments and results, whatever they are: stored exactly and read back equal, or refused where one can tell."""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    SecretStr,
    TypeAdapter,
    computed_field,
    field_serializer,
    field_validator,
)
from typing_extensions import TypedDict

from scheduling import Retry, action, mutation, scheduler, testing
from scheduling.exceptions import InvalidArguments, InvalidOption
from scheduling.models import Job, State
from tests.scheduling.properties import examples

pytestmark = pytest.mark.django_db
got: list[Any] = []
giving: list[Any] = []
told_of: list[Any] = []


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    PRICE = Decimal("1.5")


class Level(enum.IntEnum):
    LOW = 1


class Open(BaseModel):
    inside: Any = None
    part: float = 0
    when: datetime | None = None


class Aliased(BaseModel):
    size: int = Field(alias="Size")
    side: str = Field(default="", validation_alias="Side", serialization_alias="SIDE")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int

    @computed_field
    def double(self) -> int:
        return 2 * self.size


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime
    size: int


@dataclasses.dataclass
class Point:
    x: float
    at: date | None = None


class Typed(TypedDict):
    x: int
    y: list[Decimal]


class BadValidator(BaseModel):
    size: int

    @field_validator("size")
    @classmethod
    def check(cls, size: int) -> int:
        return 1 // (size - 1)


class BadSerializer(BaseModel):
    size: int

    @field_serializer("size")
    def write(self, size: int) -> int:
        return {}[size]


AWKWARD = {
    BadValidator: {"size": 1},
    BadSerializer: BadSerializer(size=2),
    Strict: Strict.model_construct(when="yesterday", size=None),
}

# any code point, the lone surrogates and NUL too
texts = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(
    ["", "\0", "\ud800", "\ufffd", "null"]
)
numbers = st.floats() | st.integers() | st.integers(0, 5000).map(lambda digits: -(10**digits))
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


DEEPEST = 250  # levels; a few more may do


depths = st.integers(0, DEEPEST) | st.integers(260, 400)


@dataclasses.dataclass
class Nested:
    """Stands for a deep value, which hypothesis cannot print."""

    depth: int


def nested(depth: int) -> Any:
    value: Any = depth
    for level in range(depth):
        value = {"in": value} if level % 2 else [value]
    return value


offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
zones = st.none() | st.just(UTC) | st.timezones() | offsets
datetimes = st.datetimes(timezones=zones)
decimals = st.decimals() | st.decimals(allow_nan=False, allow_infinity=False)
opened = st.builds(Open, inside=values, part=st.floats(), when=st.none() | datetimes)
typed = {
    Decimal: decimals,
    datetime: datetimes,
    date: st.dates(),
    time: st.times(timezones=zones),
    timedelta: st.timedeltas(),
    UUID: st.uuids(),
    Color: st.sampled_from(Color),
    Level: st.sampled_from(Level),
    Open: opened,
    Aliased: st.builds(lambda size, side: Aliased(Size=size, Side=side), st.integers(), texts),
    Computed: st.builds(Computed, size=st.integers(0, 9)),
    Strict: st.builds(Strict, when=datetimes, size=st.integers()),
    Point: st.builds(Point, st.floats(), st.none() | st.dates()),
    Typed: st.fixed_dictionaries({"x": st.integers(), "y": st.lists(decimals, max_size=3)}),
    Literal["a", 1, None]: st.sampled_from(["a", 1, None]),
    float | None: st.none() | st.floats(),
    int: numbers,
    float: numbers,
    str: texts,
    str | None: st.none() | texts,
    bytes: st.binary(max_size=8),
    SecretStr: texts.map(SecretStr),
    Json: st.sampled_from(['{"a":[1,null]}', "3"]),
    list[Point]: st.lists(st.builds(Point, st.floats()), max_size=3),
    dict[str, Decimal]: st.dictionaries(texts, decimals, max_size=3),
    dict[str, float]: st.dictionaries(texts, st.floats(), max_size=3),
    dict[int, str]: st.dictionaries(st.integers(), texts, max_size=3),
    dict[date, int]: st.dictionaries(st.dates(), st.integers(), max_size=3),
    dict[str | None, int]: st.dictionaries(st.none() | texts, st.integers(), max_size=3),
    dict[Color, int]: st.dictionaries(st.sampled_from(Color), st.integers(), max_size=3),
    set[date]: st.sets(st.dates(), max_size=3),
    tuple[int, datetime]: st.tuples(st.integers(), datetimes),
    datetime | date: datetimes | st.dates(),
    list[Any]: st.lists(values, max_size=4),
    dict[str, Any]: st.dictionaries(texts, values, max_size=4),
    list: depths.map(lambda depth: [nested(depth)]),
    Any: values | depths.map(nested),
}


def _taker(number: int, hint: Any) -> Any:
    def body(value, other=0):
        got.append(value)

    body.__annotations__ = {"value": hint}
    return action(name=f"properties.takes_{number}")(body)


def _giver(by: Any, number: int, hint: Any) -> Any:
    def body():
        got.append(None)
        return giving[-1]

    body.__annotations__ = {} if hint is Any else {"return": hint}
    name = f"properties.gives_{number}_by_{by.__name__}"
    return by(name=name, retry=Retry(initial_backoff=0, jitter=0))(body)


KINDS = list(typed)
TAKERS = {str(hint): _taker(number, hint) for number, hint in enumerate(KINDS)}
GIVERS = {(by, str(hint)): _giver(by, n, hint) for n, hint in enumerate(KINDS) for by in (action, mutation)}
COERCED = {str(hint): TypeAdapter(hint) for hint in KINDS}
of_a_kind = st.sampled_from(KINDS).flatmap(lambda hint: st.tuples(st.just(hint), typed[hint]))


@mutation(name="properties.told")
def told(result: dict, context: Any) -> None:
    told_of.append((result, context))


def equal(one: Any, other: Any) -> bool:
    """Equal and of one type; for a time in a zone its instant counts, as == is never true of some of them."""
    if isinstance(one, datetime) and one.tzinfo:
        return bool(one - other == timedelta(0))
    if isinstance(one, Open):
        return all(equal(getattr(one, name), getattr(other, name)) for name in Open.model_fields)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


def is_json(value: Any, depth: int = 0) -> bool:
    """Whether it can be stored: no NaN, no infinity, keys of Unicode text, numbers of at most 4,300 digits."""
    if isinstance(value, Open | Point):
        value = vars(value)
    if isinstance(value, dict):
        keys = all(not isinstance(key, str) or not any("\ud800" <= c <= "\udfff" for c in key) for key in value)
        return keys and is_json(list(value.values()), depth)
    if isinstance(value, list):
        return depth < DEEPEST and all(is_json(inner, depth + 1) for inner in value)
    if isinstance(value, float | Decimal):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < 10**4300


@contextmanager
def afresh() -> Iterator[None]:
    """One example: nothing is there before, and nothing stays."""
    with transaction.atomic():
        got.clear()
        giving.clear()
        told_of.clear()
        yield
        transaction.set_rollback(True)


def refusal(call: Callable[[], Any]) -> str:
    """What the refusal of a call says; nothing where it is not refused."""
    try:
        call()
    except (InvalidArguments, InvalidOption) as refused:
        return str(refused)
    return ""


@examples(300)
@given(of_a_kind)
def test_a_function_gets_what_was_given_or_it_is_refused_at_the_call(pair):
    hint, value = pair
    function = TAKERS[str(hint)]
    with afresh():
        refused = refusal(lambda: scheduler.now(function, {"value": value}))
        if refused:
            assert "value" in refused.removeprefix(function.name)
            assert not Job.objects.exists()
        else:
            (ran,) = testing.drain()
            assert (ran.state, ran.error) == (State.SUCCESS, "")
            assert equal(got[0], COERCED[str(hint)].validate_python(value))


@examples(200)
@given(values | st.builds(Nested, st.integers(0, DEEPEST) | st.integers(260, 970)))
def test_a_json_value_is_never_refused_and_anything_else_is(value):
    value = nested(value.depth) if isinstance(value, Nested) else value
    with afresh():
        if is_json(value):
            scheduler.now(TAKERS[str(Any)], {"value": value})
            testing.drain()
            assert equal(got[0], value)
        else:
            with pytest.raises(InvalidArguments, match="value: cannot be stored as JSON"):
                scheduler.now(TAKERS[str(Any)], {"value": value})


@examples(300)
@given(of_a_kind, st.sampled_from([action, mutation]))
def test_a_result_is_stored_exactly_or_the_job_has_failed_and_the_body_ran_once(pair, by):
    hint, value = pair
    with afresh():
        giving.append(value)
        scheduler.now(GIVERS[by, str(hint)], on_complete=told, context=3)
        ran = testing.drain()[0]
        assert (got, ran.attempt) == ([None], 1)
        if ran.state == State.SUCCESS:
            coerced = COERCED[str(hint)]
            assert is_json(value)
            assert equal(ran.result, coerced.dump_python(coerced.validate_python(value), mode="json"))
            assert told_of == [({"type": "success", "value": ran.result}, 3)]
        else:
            assert ran.state == State.FAILED and "the result" in ran.error
            assert told_of == [({"type": "failed", "error": ran.error}, 3)]


@examples(150)
@given(values | opened, st.sampled_from([action, mutation]))
def test_what_is_given_back_without_an_annotation_is_stored_if_it_is_json(value, by):
    with afresh():
        giving.append(value)
        scheduler.now(GIVERS[by, str(Any)])
        (ran,) = testing.drain()
        assert (ran.state == State.SUCCESS) == is_json(value)


@pytest.mark.parametrize("by", [action, mutation])
@pytest.mark.parametrize("hint", AWKWARD, ids=str)
def test_a_result_that_breaks_its_own_model_fails_its_job_after_one_run(by, hint):
    got.clear()
    giving.append(AWKWARD[hint])
    scheduler.now(_giver(by, id(hint), hint))
    (ran,) = testing.drain()
    assert (ran.state, ran.attempt, got) == (State.FAILED, 1, [None])


@examples(150)
@given(values | st.builds(Nested, st.integers(0, DEEPEST) | st.integers(260, 970)))
def test_a_context_is_told_as_it_was_given_or_refused_at_the_call(value):
    value = nested(value.depth) if isinstance(value, Nested) else value
    with afresh():
        call = functools.partial(scheduler.now, TAKERS[str(Any)], {"value": 1}, on_complete=told, context=value)
        if refusal(call):
            assert not is_json(value)
        else:
            assert [job.state for job in testing.drain()] == [State.SUCCESS] * 2
            assert equal(told_of[0][1], value)


@examples(100)
@given(texts | st.text(max_size=300))
def test_a_key_is_refused_or_names_its_job(key):
    with afresh():
        if refusal(lambda: scheduler.now(TAKERS[str(Any)], {"value": 1}, key=key)):
            assert not Job.objects.exists()
        else:
            again = scheduler.now(TAKERS[str(Any)], {"value": 2}, key=key)
            assert (again.created, again.key, Job.objects.get().key) == (False, key, key)
