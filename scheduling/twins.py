"""The verbs for use inside `async def`: each has a twin with `a` before its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
T = TypeVar("T")


def twin(verb: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same verb, to be awaited. It works on the thread, and so on the connection, of Django's async ORM."""
    inside = sync_to_async(verb, thread_sensitive=True)

    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await inside(*args, **kwargs)

    name = f"a{verb.__name__}"
    run.__name__, run.__qualname__, run.__module__ = name, name, verb.__module__
    run.__doc__ = f"{verb.__name__}(), to be awaited inside `async def`.\n\n{inspect.getdoc(verb) or ''}"
    run.__signature__ = inspect.signature(verb)  # type: ignore[attr-defined]
    return run
