"""The registry: what may be scheduled, by which guarantee it runs, and which arguments it takes.

Only a function that one of the decorators here has registered can be scheduled, from anywhere. A decorated
function stays an ordinary callable.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, get_type_hints, overload

from django.apps import apps
from django.db import transaction
from django.utils.module_loading import autodiscover_modules
from pydantic import ConfigDict, ValidationError
from typing_extensions import TypedDict

from scheduling import clock, jsontext
from scheduling.backoff import Retry
from scheduling.buckets import RateLimit
from scheduling.conf import conf
from scheduling.exceptions import AlreadyExists, InvalidArguments, InvalidOption, InvalidResult, NotFound
from scheduling.options import Options
from scheduling.shapes import ANY_TYPE, NotJSON, Shape, fields

Kind = Literal["query", "mutation", "action", "workflow"]
Body = Callable[..., Any]

GIVEN_BY_CRON = "scheduled_for"  # a cron passes its instant to a function that has this argument


@dataclass(eq=False)
class Function:
    """A registered function: call it as before, or hand it to the scheduler."""

    name: str
    kind: Kind
    body: Body
    options: Options
    steps_retry: Retry | None = None
    """Of a workflow: the policy of its action steps."""
    version: int = 1
    """Of a workflow."""
    bindings: list[Any] = field(default_factory=list)
    """To which events: see scheduling.bindings."""

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.body)
        self.parameters = _parameters(self)
        self.check_key(self.options.rate_limit)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body here and now, without a record: a mutation in atomic(), a query read-only."""
        if self.kind == "mutation":
            with transaction.atomic(using=conf().database):
                return self.body(*args, **kwargs)
        if self.kind == "query":
            with read_only():
                return self.body(*args, **kwargs)
        return self.body(*args, **kwargs)

    def check_key(self, limit: RateLimit | None) -> None:
        """InvalidOption where a rate limit goes by an argument that the body does not have."""
        if limit and limit.key and limit.key not in self.parameters:
            raise InvalidOption(f"{self.name}: the rate limit's key {limit.key!r} is none of its arguments")

    @functools.cached_property
    def is_async(self) -> bool:
        """Whether the body is an `async def`."""
        return inspect.iscoroutinefunction(self.body)

    @property
    def description(self) -> str:
        """A line for operators: what was said, else the docstring's first one."""
        return self.options.description or (self.body.__doc__ or "").strip().split("\n")[0]

    def store(self, arguments: Mapping[str, Any] | None) -> str:
        """The arguments, checked and coerced by the annotations, as JSON text.

        Raises InvalidArguments, naming each field that does not fit, and where they are over 8 MiB.
        """
        shape, _result = self._shapes
        if not arguments and not self.parameters:
            return "{}"
        try:
            text = shape.write_arguments(dict(arguments or {}))
        except ValidationError as error:
            raise InvalidArguments(f"{self.name}: {fields(error)}") from error
        except NotJSON as error:
            raise InvalidArguments(f"{self.name}: {error}") from error
        except (ValueError, TypeError) as error:
            raise InvalidArguments(f"{self.name}: the arguments cannot be stored as JSON: {error}") from error
        if len(text) > (most := conf().max_argument_bytes):
            raise InvalidArguments(
                f"{self.name}: the arguments take {len(text):,} bytes as JSON, and {most:,} is the most; "
                "keep the data in a model and pass its id"
            )
        return text

    def load(self, text: str, asked_for: str | None = None) -> dict[str, Any]:
        """The arguments to call the body with; its `scheduled_for`, where it has one, is when it was asked for."""
        given = jsontext.loads(text) if text != "{}" else {}
        if GIVEN_BY_CRON in self.parameters and GIVEN_BY_CRON not in given:
            given[GIVEN_BY_CRON] = clock.from_db(asked_for)
        shape, _result = self._shapes
        try:
            arguments: dict[str, Any] = shape.check(given)
        except ValidationError as error:
            raise InvalidArguments(f"{self.name}: {fields(error)}") from error
        return arguments

    def takes(self, name: str) -> bool:
        """Whether the body has a parameter of this name."""
        return name in self.parameters

    def store_result(self, value: Any) -> str:
        """A result as JSON text. Raises InvalidResult where it does not fit its annotation or cannot be stored."""
        _arguments, shape = self._shapes
        if value is None and shape.takes_none:
            return "null"
        try:
            text = shape.write(value)
        except ValidationError as error:
            raise InvalidResult(f"{self.name}: the result does not fit its annotation: {fields(error)}") from error
        except NotJSON as error:
            raise InvalidResult(f"{self.name}: the result {error}") from error
        if len(text) > (most := conf().max_bytes):
            raise InvalidResult(f"{self.name}: the result takes {len(text):,} bytes as JSON, and {most:,} is the most")
        return text

    @functools.cached_property
    def _shapes(self) -> tuple[Shape, Shape]:
        """Of the arguments and of the result: at once, so that an annotation that is none is found before any run."""
        hints = get_type_hints(self.body, include_extras=True)
        hinted = {}
        for name, parameter in self.parameters.items():
            hint = hints.get(name, Any)
            optional = parameter.default is not parameter.empty or name == GIVEN_BY_CRON
            hinted[name] = NotRequired[hint] if optional else hint
        arguments = TypedDict("Arguments", hinted)  # type: ignore[misc]
        arguments.__pydantic_config__ = ANY_TYPE | ConfigDict(extra="forbid")  # type: ignore[attr-defined]
        return Shape(arguments), Shape(hints.get("return", Any))


_registry: dict[str, Function] = {}


def discover() -> None:
    """Import each installed app's functions.py, workflows.py and crons.py."""
    for module in ("functions", "workflows", "crons"):
        autodiscover_modules(module)


def get(function: Function | str) -> Function:
    """The registered function, by itself or by its name; NotFound where there is none, naming the nearest."""
    if isinstance(function, Function):
        return function
    if isinstance(function, str) and function in _registry:
        return _registry[function]
    raise NotFound(
        f"no function is registered as {function!r}: decorate it with @action or @mutation in an app's functions.py"
    )


def schedulable(function: Function | str) -> Function:
    """As `get`, but a query raises InvalidOption: it is called directly, never scheduled."""
    found = get(function)
    if found.kind == "query":
        raise InvalidOption(f"{found.name} is a query, which is called directly and never scheduled")
    return found


def names() -> list[str]:
    """The names of all that can be scheduled on this host, sorted."""
    return sorted(name for name, function in _registry.items() if function.kind != "query")


def is_workflow(name: str) -> bool:
    """Whether a name is that of a workflow, as far as this host knows."""
    return name in _registry and _registry[name].kind == "workflow"


def registered() -> list[Function]:
    """All functions that are known on this host, by name; queries too."""
    return sorted(_registry.values(), key=lambda function: function.name)


def has_async() -> bool:
    """Whether any is an `async def`, so that workers need an event loop."""
    return any(function.is_async for function in _registry.values())


@overload
def query(body: Body, /) -> Function: ...
@overload
def query(*, name: str | None = None, description: str = "") -> Callable[[Body], Function]: ...
def query(body: Body | None = None, /, *, name: str | None = None, description: str = "") -> Any:
    """Register a function that only reads: it runs in a read-only transaction, where a write raises.

    It is called directly, never scheduled. Its name is `app_label.function` unless `name` says otherwise.
    AlreadyExists where another function has that name.
    """
    return decorate("query", body, name, Options(description=description))


@overload
def mutation(body: Body, /) -> Function: ...
@overload
def mutation(*, name: str | None = None, **options: Any) -> Callable[[Body], Function]: ...
def mutation(body: Body | None = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Register a function that writes: exactly once.

    Its writes and its `success` commit together. The body itself may run more than once and must have no
    other effects. It is run again by itself after errors of the database and deaths of its process, which are
    no attempts; an error of its own fails it, unless `retry` says otherwise.
    Takes the options of Options; InvalidOption for another. AlreadyExists where another function has its name.
    """
    return decorate("mutation", body, name, Options.of(options))


@overload
def action(body: Body, /) -> Function: ...
@overload
def action(*, name: str | None = None, **options: Any) -> Callable[[Body], Function]: ...
def action(body: Body | None = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Register a function with effects outside the database: at most once, or with `retry` at least once.

    It runs outside a transaction; its start is committed before its body. Only actions may be `async def`.
    Takes the options of Options; InvalidOption for another. AlreadyExists where another function has its name.
    """
    return decorate("action", body, name, Options.of(options))


@contextmanager
def read_only() -> Iterator[None]:
    """A transaction (or a savepoint of the caller's) in which the database refuses writes."""
    connection = clock.database()
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET TRANSACTION READ ONLY")  # ends with the transaction or savepoint
            yield
            return
        (before,) = cursor.execute("PRAGMA query_only").fetchone()  # a query may call another
        cursor.execute("PRAGMA query_only = ON")
        try:
            yield
        finally:
            if connection.connection is not None:  # past Django, which refuses statements after a failed one
                connection.connection.execute(f"PRAGMA query_only = {before}")


def decorate(kind: Kind, body: Body | None, name: str | None, options: Options, **of_workflow: Any) -> Any:
    """Register a body, or give the decorator that will."""

    def register(body: Body) -> Function:
        function = Function(name or _default_name(body), kind, body, options, **of_workflow)
        if function.is_async and kind != "action":
            raise InvalidOption(f"{function.name}: only actions may be async def")
        there = _registry.get(function.name)
        if there and _source(there.body) != _source(body):
            raise AlreadyExists(
                f"two functions are named {function.name!r}: {_source(there.body)} and {_source(body)}; "
                "give one a name="
            )
        _registry[function.name] = function
        return function

    return register if body is None else register(body)


def _default_name(body: Body) -> str:
    config = apps.get_containing_app_config(body.__module__)
    return f"{config.label if config else body.__module__.split('.')[0]}.{body.__name__}"


def _source(body: Body) -> str:
    """Where a body is written: the same for a module that is imported again, another for one further down in it."""
    code = getattr(inspect.unwrap(body), "__code__", None)
    return f"{body.__module__}:{code.co_firstlineno if code else ''} {body.__qualname__}"


def _parameters(function: Function) -> Mapping[str, inspect.Parameter]:
    """The parameters of the body, all of which can be given by keyword."""
    parameters = dict(inspect.signature(function.body).parameters)
    if function.kind == "workflow":
        if not parameters:
            raise InvalidOption(f"{function.name}: a workflow's first parameter is its step")
        del parameters[next(iter(parameters))]
    for parameter in parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidOption(
                f"{function.name}: parameter {parameter} cannot be given by name; arguments are JSON by keyword"
            )
    return types.MappingProxyType(parameters)
