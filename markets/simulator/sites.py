"""Every root that is served, by exchange."""

from pathlib import Path

from markets.simulator.kalshi import api as kalshi
from markets.simulator.limits import KEY_RATE
from markets.simulator.opinion import envelope
from markets.simulator.opinion.api import Api as Opinion
from markets.simulator.opinion.replay import Replay
from markets.simulator.polymarket import gamma
from markets.simulator.polymarket.clob import Clob
from markets.simulator.polymarket.data import Data
from markets.simulator.site import Site
from markets.simulator.tape import Tape
from markets.simulator.venue import Venue
from markets.simulator.world import World

OPINION, GAMMA, DATA, CLOB, KALSHI = "/openapi", "/gamma", "/data", "/clob", "/trade-api/v2"
RATES = {GAMMA: 30, DATA: 20, CLOB: 100, KALSHI: 20}  # requests a second
HUNDREDTH = 10_000  # millionths: Kalshi trades no less of a contract
IN_CENTS = 0.9


class Sites:
    """The sites of a world. Raises ValueError for a replay that cannot be used.

    `rate` is Opinion's limit, with 0 for no limits anywhere; `pace` how many trades a minute there are at
    Polymarket and at Kalshi; `replay` a folder of Opinion's recorded answers.
    """

    def __init__(self, world: World, *, rate: int, pace: int, replay: Path | None) -> None:
        self.polymarket = Venue(world, "polymarket")
        self.kalshi = Venue(world, "kalshi", in_cents=IN_CENTS)
        self.polymarket_tape = Tape(self.polymarket, pace)
        self.kalshi_tape = Tape(self.kalshi, pace, step=HUNDREDTH)
        limits = RATES if rate else dict.fromkeys(RATES, 0)
        self.all = (_opinion(world, rate, replay), *self._polymarket(limits), self._kalshi(limits))

    def of(self, path: str) -> Site | None:
        """The site that a path lies below."""
        return next((site for site in self.all if path.startswith(f"{site.root}/")), None)

    def _polymarket(self, limits: dict[str, int]) -> list[Site]:
        markets = gamma.Gamma(self.polymarket)
        roots = {GAMMA: markets, DATA: Data(self.polymarket_tape), CLOB: Clob(markets)}
        return [
            Site(
                exchange="polymarket",
                root=root,
                answers=api.answers,
                refuse=gamma.refuse,
                rate=limits[root],
                queues=True,
            )
            for root, api in roots.items()
        ]

    def _kalshi(self, limits: dict[str, int]) -> Site:
        api = kalshi.Api(self.kalshi, self.kalshi_tape)
        return Site(exchange="kalshi", root=KALSHI, answers=api.answers, refuse=kalshi.refuse, rate=limits[KALSHI])


def _opinion(world: World, rate: int, replay: Path | None) -> Site:
    return Site(
        exchange="opinion",
        root=OPINION,
        answers=(Replay(replay) if replay else Opinion(world)).answers,
        refuse=envelope.refuse,
        rate=rate,
        key_rate=rate and max(rate, KEY_RATE),
    )
