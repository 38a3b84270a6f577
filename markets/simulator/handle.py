"""The exchange in a thread of this process, for tests and the demo."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

from markets.simulator import sites, truth
from markets.simulator.exchange import Exchange, Options
from markets.simulator.faults import Fault
from markets.simulator.server import Server
from markets.simulator.streaming import WS
from markets.simulator.world import World


def roots(origin: str) -> dict[str, str]:
    """Every root of a simulator at this address, by the environment variable that names it to the project."""
    return {
        "OPINION_API_URL": origin + sites.OPINION,
        "OPINION_WS_URL": origin.replace("http", "ws", 1) + WS,
        "POLYMARKET_GAMMA_URL": origin + sites.GAMMA,
        "POLYMARKET_DATA_URL": origin + sites.DATA,
        "POLYMARKET_CLOB_URL": origin + sites.CLOB,
        "KALSHI_API_URL": origin + sites.KALSHI,
    }


class RunningExchange:
    """A server that is up, and the means to disturb it."""

    def __init__(self, exchange: Exchange, server: Server) -> None:
        self._exchange = exchange
        self._server = server

    @property
    def url(self) -> str:
        """The root of Opinion's REST API, e.g. http://127.0.0.1:8700/openapi."""
        return self.roots["OPINION_API_URL"]

    @property
    def gamma_url(self) -> str:
        """The root of Polymarket's markets."""
        return self.roots["POLYMARKET_GAMMA_URL"]

    @property
    def data_url(self) -> str:
        """The root of Polymarket's trades."""
        return self.roots["POLYMARKET_DATA_URL"]

    @property
    def clob_url(self) -> str:
        """The root of Polymarket's order books and price histories."""
        return self.roots["POLYMARKET_CLOB_URL"]

    @property
    def kalshi_url(self) -> str:
        """The root of Kalshi's API."""
        return self.roots["KALSHI_API_URL"]

    @property
    def ws_url(self) -> str:
        """Opinion's WebSocket, e.g. ws://127.0.0.1:8700/ws."""
        return self.roots["OPINION_WS_URL"]

    @property
    def roots(self) -> dict[str, str]:
        """Every root, by the environment variable that names it to the project."""
        return roots(self._server.origin)

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
        """How many requests came to the roots so far."""
        return self._exchange.requests

    @property
    def state(self) -> dict[str, Any]:
        """What GET /control/state shows."""
        return self._exchange.state()

    def fault(self, name: str, **options: Any) -> None:
        """Set a fault: names and options in `faults.py`. Raises ValueError for what means nothing."""
        self._exchange.faults.add(Fault(fault=name, **options))

    def truth(self, exchange: str, since: int | None = None, least: str = "0") -> list[dict[str, Any]]:
        """What a database should hold of an exchange at this moment, as GET /control/world says it."""
        return list(truth.rows(self._exchange, exchange, since, Decimal(least)))

    def clear(self) -> None:
        """Clear all faults."""
        self._exchange.faults.clear()

    def step(self, seconds: int) -> int:
        """Move a frozen world ahead; the new moment. Raises ValueError for one that is not frozen."""
        return self._exchange.clock.step(seconds)

    def freeze(self, frozen: bool = True) -> int:
        """Let time stand still, or go on from there; the moment."""
        return self._exchange.clock.freeze(frozen)

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
    trades_per_minute: int = 600,
    key: str = "",
    replay: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[RunningExchange]:
    """A simulated exchange while the block runs, on any free port unless told. Options: `exchange.Options`."""
    options = Options(
        seed=seed,
        topics=topics,
        frozen=frozen,
        start=start,
        rate=rate,
        trades_per_minute=trades_per_minute,
        key=key,
        replay=replay,
    )
    exchange = Exchange(options)
    with Server(exchange, host, port) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), name="exchange-simulator", daemon=True)
        thread.start()
        try:
            yield RunningExchange(exchange, server)
        finally:
            server.shutdown()
            thread.join()
