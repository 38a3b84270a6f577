"""The registry; what goes in and comes out of a function."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, transaction
from pydantic import BaseModel, ConfigDict, Field

from scheduling import Retry, action, functions, mutation, query, scheduler
from scheduling.buckets import RateLimit
from scheduling.exceptions import AlreadyExists, InvalidArguments, InvalidOption, InvalidResult, NotFound
from scheduling.options import Options
from tests.scheduling import work


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Side(BaseModel):
    price: Decimal
    when: datetime


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime
    id: UUID
    price: Decimal


@dataclasses.dataclass
class Point:
    x: int
    at: date


@pytest.fixture
def make():
    """Register functions under names of this test's own."""
    made = []

    def register(body, *, by=action, **options):
        made.append(by(name=f"test.{len(made)}.{body.__name__}.{id(body)}", **options)(body))
        return made[-1]

    return register


def there_and_back(function, **arguments):
    return function.load(function.store(arguments))


# The registry


def test_a_function_is_known_by_its_name():
    assert functions.get("work.add") is work.add
    assert functions.get(work.add) is work.add
    assert work.add.name == "work.add"


def test_what_can_be_scheduled_is_listed_without_the_queries():
    assert "work.add" in functions.names() and "work.noop" in functions.names()
    assert "work.count" not in functions.names()
    assert functions.names() == sorted(functions.names())


@pytest.mark.parametrize("name", ["work.nothing", "", None, 5, len, ["work.add"]])
def test_an_unknown_function_is_not_found(name):
    with pytest.raises(NotFound, match="no function is registered"):
        functions.get(name)


def test_a_query_is_never_scheduled():
    with pytest.raises(InvalidOption, match="called directly and never scheduled"):
        functions.schedulable(work.count)


def test_two_functions_of_one_name_are_an_error():
    def body():
        pass

    def other():
        pass

    action(name="test.twice")(body)
    action(name="test.twice")(body)  # imported again
    with pytest.raises(AlreadyExists, match=r"two functions are named 'test.twice': .*body and .*other"):
        mutation(name="test.twice")(other)


def test_two_functions_of_one_name_in_one_module_are_an_error_too():
    def body():
        pass

    action(name="test.twice_here")(body)

    def body():
        pass

    with pytest.raises(AlreadyExists, match=r"body and .*body; give one a name="):
        action(name="test.twice_here")(body)


DECLARES = "from scheduling import Crons, action\n"


@pytest.fixture
def start(tmp_path):
    """Start Django in a process of its own with apps of these files, and give how it ended after `code`."""

    def run(files, code="pass", setting="pass"):
        for file, text in files.items():
            path = tmp_path / file
            path.parent.mkdir(exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(DECLARES + text)
        apps = sorted({file.split("/")[0] for file in files})
        setup = f"import django; from django.conf import settings; settings.INSTALLED_APPS += {apps}; {setting}"
        return subprocess.run(
            [sys.executable, "-c", f"{setup}; django.setup(); from scheduling import crons, functions; {code}"],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_each_apps_functions_workflows_and_crons_are_found_at_start(start):
    done = start(
        {
            "shop/functions.py": "@action\ndef sell(): ...",
            "shop/workflows.py": "@action\ndef deliver(): ...",
            "shop/crons.py": "crons = Crons()\ncrons.daily('close-shop', 18, 0, 'shop.sell')",
        },
        "print({'shop.sell', 'shop.deliver'} <= set(functions.names()), 'close-shop' in crons.declarations())",
    )
    assert done.stdout.strip() == "True True", done.stderr


def test_a_mutation_is_atomic_on_the_database_that_holds_the_jobs(start):
    asks = "[transaction.get_connection(alias).in_atomic_block for alias in ('default', 'jobs')]"
    body = f"from django.db import transaction\nfrom scheduling import mutation\n@mutation\ndef ask(): return {asks}"
    setting = (
        "settings.DATABASES['jobs'] = {**settings.DATABASES['default'], 'ENGINE': 'django.db.backends.sqlite3',"
        " 'NAME': ':memory:', 'OPTIONS': {}}; settings.SCHEDULING = {'database': 'jobs'}"
    )
    done = start({"shop/functions.py": body}, "import shop.functions; print(shop.functions.ask())", setting)
    assert done.stdout.strip() == "[False, True]", done.stderr


def test_two_functions_of_one_name_in_two_apps_are_an_error_at_start(start):
    body = "@action(name='shop.sell')\ndef sell(): ..."
    done = start({"shop/functions.py": body, "stall/functions.py": body})
    assert done.returncode == 1
    assert "AlreadyExists: two functions are named 'shop.sell'" in done.stderr


def test_a_module_of_functions_that_cannot_be_imported_is_an_error_at_start(start):
    done = start({"shop/functions.py": "import nothing_of_that_name"})
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in done.stderr


def test_the_default_name_is_the_app_and_the_function():
    from django.contrib.auth import models

    def rename():
        pass

    rename.__module__ = models.__name__
    assert action(rename).name == "auth.rename"


def test_a_decorated_function_keeps_its_looks():
    assert work.once.__name__ == "once"
    assert work.once.__doc__.startswith("Leave a line")


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 101},
        {"priority": -101},
        {"priority": 1.5},
        {"priority": True},
        {"max_crashes": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": True},
        {"pool": "a b"},
        {"rate_limit": 5},
        {"keep_for": -1},
        {"retries": 3},
        {"retry": "often"},
        {"retry": 3},
        {"retry": {"base": 0}},
    ],
)
def test_options_that_make_no_sense_are_refused(make, options):
    with pytest.raises(InvalidOption):
        make(lambda: None, **options)


@pytest.mark.parametrize("by", [action, mutation])
def test_the_defaults_of_the_options(make, by):
    assert make(lambda: None, by=by).options == Options(
        retry=None, timeout=None, priority=0, pool="", rate_limit=None, max_crashes=3, keep_for=None, description=""
    )


@pytest.mark.parametrize("by", [action, mutation])
def test_all_options_of_an_action_and_of_a_mutation(make, by):
    said = {"priority": -100, "pool": "exchange", "max_crashes": 1, "description": "Says."}
    kept = make(lambda: None, by=by, timeout=timedelta(minutes=1), rate_limit="api", keep_for=3600, **said).options
    assert {name: getattr(kept, name) for name in said} == said
    assert (kept.timeout.total_seconds(), kept.keep_for.total_seconds()) == (60, 3600)
    assert kept.rate_limit == RateLimit("api")
    assert make(lambda: None, by=by, priority=100).options.priority == 100


@pytest.mark.parametrize(
    ("given", "policy"),
    [(True, Retry()), (False, None), (None, None), ({"base": 3}, Retry(base=3)), (Retry(base=4), Retry(base=4))],
)
def test_retry_is_a_policy_or_yes_or_no(make, given, policy):
    assert make(lambda: None, retry=given).options.retry == policy


@pytest.mark.parametrize("decorator", [mutation, query])
def test_only_actions_are_async(make, decorator):
    async def body():
        pass

    with pytest.raises(InvalidOption, match="only actions may be async def"):
        make(body, by=decorator)


def _positional(a, /):
    pass


def _star(*a):
    pass


def _keywords(**a):
    pass


@pytest.mark.parametrize("body", [_positional, _star, _keywords])
def test_parameters_that_cannot_be_given_by_name_are_refused(make, body):
    with pytest.raises(InvalidOption, match="cannot be given by name"):
        make(body)


# Direct calls


@pytest.mark.django_db
def test_a_mutation_called_directly_is_atomic_and_leaves_no_record():
    with pytest.raises(ValueError, match="wanted"):
        work.write("gone", fail=True)
    assert not Group.objects.exists()
    work.write(name="kept")
    assert Group.objects.get().name == "kept"
    assert not scheduler.pending().exists()


def test_an_action_called_directly_is_just_its_body():
    assert work.noop(3) == work.noop(n=3) == 3


@pytest.mark.django_db(transaction=True)
def test_a_query_reads_and_a_write_in_it_raises_and_the_connection_is_as_before():
    Group.objects.create(name="one")
    assert work.count() == 1
    for _ in range(2):
        with pytest.raises(DatabaseError):
            work.sneaky()
        Group.objects.create(name=f"afterwards {Group.objects.count()}")
    assert not Group.objects.filter(name="sneaky").exists()


@pytest.mark.django_db(transaction=True)
def test_a_query_inside_a_mutation_reads_its_writes_and_writes_nothing(make):
    def body(sneak: bool) -> int:
        Group.objects.create(name="before")
        seen = work.count()
        if sneak:
            work.sneaky()
        Group.objects.create(name="after")
        return seen

    function = make(body, by=mutation)
    with pytest.raises(DatabaseError):
        function(sneak=True)
    assert not Group.objects.exists()
    assert function(sneak=False) == 1
    assert Group.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_query_that_calls_a_query_stays_read_only(make):
    def outer():
        work.count()
        Group.objects.create(name="sneaky")

    with pytest.raises(DatabaseError):
        make(outer, by=query)()
    Group.objects.create(name="afterwards")


@pytest.mark.django_db(transaction=True)
def test_an_error_in_a_query_is_passed_on_and_the_caller_may_go_on_writing(make):
    def broken():
        raise LookupError("own")

    function = make(broken, by=query)
    with transaction.atomic():
        with pytest.raises(LookupError, match="own"):
            function()
        Group.objects.create(name="afterwards")
    assert Group.objects.count() == 1


# Arguments


def test_arguments_are_coerced_by_the_annotations():
    assert json.loads(work.add.store({"a": "5"})) == {"a": 5}
    assert work.add.load('{"a":5}') == {"a": 5}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "a: Field required"),
        (None, "a: Field required"),
        ({"a": "five"}, "a: Input should be a valid integer"),
        ({"a": 1, "c": 2}, "c: Extra inputs are not permitted"),
        ({"a": None, "b": "x"}, "a: .*; b: "),
        ([1], "cannot be stored as JSON"),
        ("abc", "cannot be stored as JSON"),
        ({1: 2}, "work.add: "),
    ],
)
def test_wrong_arguments_are_refused_naming_each_field(arguments, says):
    with pytest.raises(InvalidArguments, match=f"work.add: .*{says}" if "work" not in says else says):
        work.add.store(arguments)


def test_a_message_about_arguments_does_not_give_their_values_away():
    with pytest.raises(InvalidArguments) as caught:
        work.add.store({"a": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_constraints_of_annotations_hold(make):
    def body(n: Annotated[int, Field(gt=0)], mode: Literal["fast", "slow"] = "fast") -> None: ...

    function = make(body)
    with pytest.raises(InvalidArguments, match="n: Input should be greater than 0"):
        function.store({"n": 0})
    with pytest.raises(InvalidArguments, match="mode: Input should be 'fast' or 'slow'"):
        function.store({"n": 1, "mode": "x"})


VALUES = [
    (Decimal, Decimal("12345678901234567890.123456789")),
    (datetime, datetime(2026, 3, 1, 12, 30, 0, 5, tzinfo=UTC)),
    (date, date(2026, 2, 28)),
    (timedelta, timedelta(days=1, microseconds=3)),
    (UUID, UUID(int=7)),
    (Color, Color.RED),
    (Level, Level.LOW),
    (Side, Side(price=Decimal("0.10"), when=datetime(2026, 1, 1, tzinfo=UTC))),
    (Strict, Strict(when=datetime(2026, 1, 1, tzinfo=UTC), id=UUID(int=1), price=Decimal("1.50"))),
    (Point, Point(1, date(2026, 1, 1))),
    (list[Point], [Point(1, date(2026, 1, 1))]),
    (dict[str, Decimal], {"a": Decimal("1.10")}),
    (dict[int, str], {1: "x"}),
    (set[int], {1, 2}),
    (tuple[int, str], (1, "x")),
    (int | str, "5"),
    (bytes, b"abc"),
    (int, 2**70),
    (float, 1e22),
    (float, 0.1),
    (str, "NUL \0, line end \u2028, emoji \U0001f600"),
    (str, "a lone surrogate \ud800"),
    (Any, {"deep": [None, True, 1.5, "NUL \0 and \ud800"]}),
    (int | None, None),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "value"), VALUES, ids=str)
def test_values_come_back_as_they_went(make, drain, kind, value):
    got = []

    def body(value):
        got.append(value)
        return value

    body.__annotations__ = {"value": kind, "return": kind}
    job = scheduler.now(make(body), {"value": value})
    job.refresh_from_db()
    (done,) = drain()
    assert (done.state, done.error) == ("success", "")
    assert got == [value]
    assert type(got[0]) is type(value)
    assert done.result == job.args["value"]


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        {"deep": [float("nan")]},
        object(),
        {"a": object()},
        lambda: None,
        b"\xff",
    ],
    ids=["nan", "inf", "-inf", "deep nan", "object", "object inside", "function", "bytes"],
)
def test_what_is_not_json_is_neither_argument_nor_result(make, value):
    def body(value: Any) -> Any: ...

    function = make(body)
    with pytest.raises(InvalidArguments, match="cannot be stored as JSON"):
        function.store({"value": value})
    with pytest.raises(InvalidResult, match="cannot be stored as JSON"):
        function.store_result(value)


def test_nan_in_a_model_or_a_float_is_refused_as_well(make):
    class Reading(BaseModel):
        value: float

    def body(value):
        pass

    for kind, value in [(float, float("nan")), (Reading, Reading(value=float("inf")))]:
        body.__annotations__ = {"value": kind, "return": kind}
        function = make(body)
        with pytest.raises(InvalidArguments):
            function.store({"value": value})
        with pytest.raises(InvalidResult):
            function.store_result(value)


def test_what_refers_to_itself_is_refused(make):
    loop: list = []
    loop.append(loop)
    with pytest.raises(InvalidArguments):
        make(lambda value: None).store({"value": loop})
    with pytest.raises(InvalidResult):
        make(lambda: None).store_result(loop)


def test_a_result_over_a_mebibyte_is_refused_and_one_just_under_is_not(make):
    function = make(lambda: None)
    assert len(function.store_result("x" * ((1 << 20) - 2))) == 1 << 20
    with pytest.raises(InvalidResult, match="1,048,577 bytes"):
        function.store_result("x" * ((1 << 20) - 1))
    with pytest.raises(InvalidResult):
        function.store_result("é" * (1 << 18))


def test_arguments_over_eight_mebibytes_are_refused(make):
    function = make(lambda value: None)
    with pytest.raises(InvalidArguments, match="pass its id"):
        function.store({"value": "x" * (8 << 20)})
    function.store({"value": "x" * (7 << 20)})


def test_all_functions_are_listed_by_name_queries_too(make):
    second = make(lambda: None)
    first = make(lambda: None, by=query)
    names = [function.name for function in functions.registered()]
    assert names == sorted(names)
    assert {first.name, second.name} <= set(names)
    assert first.name not in functions.names()


def test_a_function_is_described_by_what_was_said_or_by_its_docstring(make):
    def body():
        """Does it.

        At length.
        """

    assert make(body).description == "Does it."
    assert make(body, description="Said.").description == "Said."
    assert make(lambda: None).description == ""


def test_a_result_is_checked_by_its_annotation():
    with pytest.raises(InvalidResult, match=r"work.add: the result does not fit its annotation: value: .*integer"):
        work.add.store_result("many")
    assert work.add.store_result("5") == "5"


@pytest.mark.django_db
def test_scheduled_for_is_given_where_it_is_taken(make, drain):
    got = []

    def body(scheduled_for: datetime, n: int = 1) -> None:
        got.append(scheduled_for)

    function = make(body)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    scheduler.run_at(when, function)
    scheduler.now(function, {"scheduled_for": datetime(2020, 1, 1, tzinfo=UTC)})
    drain()
    assert got == [when, datetime(2020, 1, 1, tzinfo=UTC)]


@pytest.mark.django_db
def test_annotations_that_cannot_be_resolved_fail_at_the_call_and_write_nothing(make):
    def body(value):
        pass

    body.__annotations__ = {"value": "Missing"}
    with pytest.raises(NameError), transaction.atomic():
        scheduler.now(make(body), {"value": 1})
    assert not scheduler.pending().exists()
    assert connection.is_usable()
