"""The exchange in a thread of this process, for tests and the demo."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from markets.simulator.exchange import Exchange, Options
from markets.simulator.faults import Fault
from markets.simulator.server import Server
from markets.simulator.world import World


class RunningExchange:
    """A server that is up, and the means to disturb it."""

    def __init__(self, exchange: Exchange, server: Server) -> None:
        self._exchange = exchange
        self._server = server

    @property
    def url(self) -> str:
        """The REST root, e.g. http://127.0.0.1:8700/openapi."""
        return self._server.url

    @property
    def control_url(self) -> str:
        """The root of the control endpoint, e.g. http://127.0.0.1:8700/control."""
        return f"{self._server.origin}/control"

    @property
    def world(self) -> World:
        """Ask it about any moment: `exchange.world.activated(exchange.now)`."""
        return self._exchange.world

    @property
    def now(self) -> int:
        """The moment of the world, epoch seconds."""
        return self._exchange.clock.now()

    @property
    def requests(self) -> int:
        """How many requests came to the REST root so far."""
        return self._exchange.requests

    @property
    def state(self) -> dict[str, Any]:
        """What GET /control/state shows."""
        return self._exchange.state()

    def fault(self, name: str, **options: Any) -> None:
        """Set a fault: names and options in `faults.py`. Raises ValueError for what means nothing."""
        self._exchange.faults.add(Fault(fault=name, **options))

    def clear(self) -> None:
        """Clear all faults."""
        self._exchange.faults.clear()

    def step(self, seconds: int) -> int:
        """Move a frozen world ahead; the new moment. Raises ValueError for one that is not frozen."""
        return self._exchange.clock.step(seconds)

    def set_key(self, key: str) -> None:
        """Set the only valid key; "" = none is."""
        self._exchange.key = key


@contextmanager
def running(
    *,
    seed: int = 1,
    topics: int = 300,
    frozen: bool = False,
    start: int | None = None,
    rate: int = 5,
    key: str = "",
    replay: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[RunningExchange]:
    """A simulated exchange while the block runs, on any free port unless told. Options: `exchange.Options`."""
    options = Options(seed=seed, topics=topics, frozen=frozen, start=start, rate=rate, key=key, replay=replay)
    exchange = Exchange(options)
    with Server(exchange, host, port) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), name="exchange-simulator", daemon=True)
        thread.start()
        try:
            yield RunningExchange(exchange, server)
        finally:
            server.shutdown()
            thread.join()
