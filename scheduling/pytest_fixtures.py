"""The helpers of scheduling.testing as pytest fixtures: add `-p scheduling.pytest_fixtures` to pytest's options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest


@pytest.fixture
def clock() -> Iterator[Any]:
    """A stopped clock, in force for the whole test."""
    from scheduling import testing

    with testing.clock() as clock:
        yield clock


@pytest.fixture
def random() -> Iterator[Callable[[float], None]]:
    """random(u) fixes the uniform number behind jitter until the test ends."""
    from scheduling import testing

    with ExitStack() as stack:
        yield lambda u: stack.enter_context(testing.random(u))


@pytest.fixture
def drain() -> Callable[[], Any]:
    """drain() runs what is due."""
    from scheduling import testing

    return testing.drain


@pytest.fixture
def advance() -> Callable[[float], Any]:
    """advance(seconds) moves the clock and runs what becomes due."""
    from scheduling import testing

    return testing.advance


@pytest.fixture
def replay() -> Callable[[Any], int]:
    """replay(workflow) says whether its stored journal still fits the code."""
    from scheduling import testing

    return testing.replay


@pytest.fixture
def cluster() -> Iterator[Callable[..., Any]]:
    """cluster(workers=2, hosts=1, modules=()) starts real hosts, which end with the test.

    Where the test fails, pytest shows what they logged.
    """
    from scheduling import testing

    started: list[Any] = []
    with ExitStack() as stack:

        def start(**options: Any) -> Any:
            started.append(stack.enter_context(testing.cluster(**options)))
            return started[-1]

        yield start
    for running in started:
        print(running.log())
