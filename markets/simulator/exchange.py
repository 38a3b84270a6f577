"""The exchange without its wire: key, limit, counting and faults around whatever answers."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from markets.simulator.api import Api, Backend, endpoint_of
from markets.simulator.clock import Clock
from markets.simulator.faults import Faults
from markets.simulator.limits import PUBLIC_RATE, RateLimit
from markets.simulator.query import Query
from markets.simulator.replay import Replay
from markets.simulator.reply import ApiError, Reply, failure, gateway
from markets.simulator.world import World

NO_ANSWER = 0  # how a dropped request is counted


@dataclass(frozen=True, kw_only=True)
class Options:
    """What an exchange is made from."""

    seed: int = 1
    topics: int = 300
    """Open topics at any moment, a quarter of them categorical."""
    frozen: bool = False
    """Time stands still until it is stepped."""
    start: int | None = None
    """Epoch seconds at which time begins; None = now, and for a frozen world a fixed moment."""
    rate: int = PUBLIC_RATE
    """Requests a second for one address without a key; 0 = no limit for anyone."""
    key: str = ""
    """The only valid key; "" = none is."""
    replay: Path | None = None
    """A folder of recorded answers to serve in place of the world."""


@dataclass(frozen=True)
class Request:
    """A GET as it came in; `path` is below /openapi."""

    path: str
    query: str
    address: str
    key: str | None
    """The apikey header; None = not sent."""


class Exchange:
    """Answers requests. Raises ValueError where `options.replay` cannot be used."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock(options.frozen, options.start)
        self.world = World(options.seed, options.topics)
        self.backend: Backend = Replay(options.replay) if options.replay else Api(self.world, self.clock)
        self.limits = RateLimit(options.rate)
        self.faults = Faults()
        self.key = options.key
        self._statuses: Counter[int] = Counter()
        self._paths: Counter[str] = Counter()
        self._lock = Lock()

    def handle(self, request: Request) -> Reply:
        endpoint, name = endpoint_of(request.path)
        answer = self._reply(request, endpoint, name)
        self._count(endpoint or "unknown", NO_ANSWER if answer.dropped else answer.status)
        return answer

    def _reply(self, request: Request, endpoint: str, name: str) -> Reply:
        keyed = request.key is not None
        if keyed and (not self.key or request.key != self.key):
            return gateway(401, "Unauthorized")
        limited = {"ratelimit-limit": str(self.limits.limit(keyed))} if self.limits.rate else {}
        if not self.limits.admit(request.address, keyed):
            answer = gateway(429, "Too Many Requests", Retry_After="1")
        elif not endpoint:
            answer = gateway(404, "Not Found")
        else:
            answer = self.faults.spoil(request.path, self._answer(request, endpoint, name))
        return replace(answer, headers=answer.headers | limited)

    def _answer(self, request: Request, endpoint: str, name: str) -> Reply:
        try:
            return self.backend.answer(endpoint, name, Query(request.query))
        except ApiError as refusal:
            return failure(refusal.errno, str(refusal))

    def _count(self, endpoint: str, status: int) -> None:
        with self._lock:
            self._statuses[status] += 1
            self._paths[endpoint] += 1

    @property
    def requests(self) -> int:
        return self._statuses.total()

    def state(self) -> dict[str, Any]:
        """What GET /control/state shows."""
        with self._lock:
            statuses = {str(status): count for status, count in sorted(self._statuses.items())}
            paths = dict(sorted(self._paths.items()))
        return {
            "now": self.clock.now(),
            "frozen": self.clock.frozen,
            "seed": self.options.seed,
            "topics": self.options.topics,
            "faults": self.faults.active(),
            "requests": {"total": sum(statuses.values()), "by_status": statuses, "by_path": paths},
        }
