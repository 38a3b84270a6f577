"""Shared by the tests of markets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from markets.exchanges.wire import Wire
from tests.markets.scripted import Reply, Scripted, scripted


@pytest.fixture
def reading() -> Iterator[Callable[..., tuple[Wire, Scripted]]]:
    """`reading(reply, …, key=…)`: a wire to a server with these replies; sleeps are kept in `wire.slept`."""
    opened: list[Any] = []

    def read(*replies: Reply, **options: Any) -> tuple[Wire, Scripted]:
        context = scripted(*replies)
        server = context.__enter__()
        slept: list[float] = []
        wire = Wire(server.url, **{"sleep": slept.append} | options)
        wire.slept = slept
        opened.extend([wire.close, lambda: context.__exit__(None, None, None)])
        return wire, server

    yield read
    for close in opened:
        close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """`eventually(look)`: what `look` gives as soon as it is true, within 20 s."""

    def wait(look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 20
        while not (found := look()):
            assert time.monotonic() < deadline, "it did not happen within 20 s"
            time.sleep(0.02)
        return found

    return wait
