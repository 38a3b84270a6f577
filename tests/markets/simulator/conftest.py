"""One small frozen exchange for each test that asks for it, and a client for it."""

from collections.abc import Iterator

import pytest

from markets.simulator import RunningExchange, running
from tests.markets.simulator.client import Client


@pytest.fixture
def exchange() -> Iterator[RunningExchange]:
    with running(seed=1, topics=60, frozen=True, rate=0) as started:
        yield started


@pytest.fixture
def client(exchange: RunningExchange) -> Iterator[Client]:
    with Client(exchange.url) as opened:
        yield opened
