"""The exchanges without their wire: keys, limits, counting and faults around whatever answers."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from markets.simulator.clock import Clock
from markets.simulator.faults import Faults
from markets.simulator.limits import PUBLIC_RATE, RateLimit
from markets.simulator.pages import Pages
from markets.simulator.query import Query
from markets.simulator.reply import Refusal, Reply, gateway
from markets.simulator.site import Site
from markets.simulator.sites import Sites
from markets.simulator.tape import MOST_A_MINUTE
from markets.simulator.world import World

NO_ANSWER = 0  # how a dropped request is counted


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the exchanges are made from."""

    seed: int = 1
    topics: int = 300
    """Open topics at any moment, a quarter of them categorical."""
    frozen: bool = False
    """Time stands still until it is stepped."""
    start: int | None = None
    """Epoch seconds at which time begins; None = now, and for a frozen world a fixed moment."""
    rate: int = PUBLIC_RATE
    """Requests a second at Opinion for one address without a key; 0 = no limit for anyone, at any exchange."""
    trades_per_minute: int = 600
    """At Polymarket, and at Kalshi, up to 10,000; at Opinion each market has a pace of its own."""
    key: str = ""
    """The only valid key; "" = none is."""
    replay: Path | None = None
    """A folder of Opinion's recorded answers, to serve in place of the world."""

    def __post_init__(self) -> None:
        """Raises ValueError for what means nothing."""
        if not 0 <= self.trades_per_minute <= MOST_A_MINUTE:
            raise ValueError(f"trades_per_minute is a number from 0 to {MOST_A_MINUTE}")


@dataclass(frozen=True)
class Request:
    """A GET as it came in; `path` is below the root."""

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
        self.sites = Sites(self.world, rate=options.rate, pace=options.trades_per_minute, replay=options.replay)
        self.limits = RateLimit()
        self.faults = Faults()
        self._pages = Pages()
        self.key = options.key
        self._statuses: Counter[int] = Counter()
        self._paths: Counter[str] = Counter()
        self._lock = Lock()

    def handle(self, site: Site, request: Request) -> Reply:
        endpoint, name = site.endpoint_of(request.path)
        answer = self._reply(site, request, endpoint, name)
        self.count(site.root + endpoint if endpoint else "unknown", NO_ANSWER if answer.dropped else answer.status)
        return answer

    def _reply(self, site: Site, request: Request, endpoint: str, name: str) -> Reply:
        keyed = site.exchange == "opinion" and request.key is not None
        if keyed and (not self.key or request.key != self.key):
            return gateway(401, "Unauthorized")
        rate = site.key_rate if keyed else site.rate
        waits = self.limits.wait((site.root, request.address, keyed), rate)
        if waits and not site.queues:
            answer = gateway(429, "Too Many Requests", Retry_After="1")
        elif not endpoint:
            answer = gateway(404, "Not Found")
        else:
            faults = self.faults.on(site.exchange, request.path)
            shift = self.faults.shift(faults)
            answer = self.faults.spoil(faults, self._answer(site, request, endpoint, name, shift))
        limited = {"ratelimit-limit": str(rate)} if site.key_rate else {}
        return replace(
            answer, headers=answer.headers | limited, delay_seconds=answer.delay_seconds + waits * site.queues
        )

    def _answer(self, site: Site, request: Request, endpoint: str, name: str, shift: int) -> Reply:
        """What the site says; while time stands still, what it said before."""
        at, asked = self.clock.now(), (site.root, request.path, request.query, shift)
        kept = self._pages.get(at, asked) if self.clock.frozen else None
        if kept is not None:
            return Reply(kept)
        try:
            answer = site.answers[endpoint](name, Query(request.query, shift), at)
        except Refusal as refusal:
            return site.refuse(refusal)
        if self.clock.frozen:
            self._pages.keep(at, asked, answer.body)
        return answer

    def count(self, endpoint: str, status: int) -> None:
        """Count a request; the status of one that was dropped is 0."""
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
