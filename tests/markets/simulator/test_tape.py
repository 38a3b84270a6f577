"""The tape of trades: the same whenever it is looked at, at the pace that was asked for."""

import pytest

from markets.simulator import running
from markets.simulator.clock import FROZEN_AT
from markets.simulator.tape import SECOND, Tape
from markets.simulator.venue import Venue
from markets.simulator.world import World

NOW = FROZEN_AT * SECOND


def tape(pace: int = 600, seed: int = 1, topics: int = 60, name: str = "polymarket") -> Tape:
    return Tape(Venue(World(seed, topics), name), pace)


def newest(of: Tape, count: int) -> list[str]:
    last = of.count(NOW)
    return [str(trade) for trade in of.back(last, last - count + 1)]


def test_the_same_seed_and_moment_give_the_same_trades() -> None:
    first, second = tape(), tape()
    list(second.back(second.count(NOW - 3_600 * SECOND), second.count(NOW - 3_600 * SECOND) - 50))
    assert [trade.price for trade in first.back(first.count(NOW), first.count(NOW) - 200)] == [
        trade.price for trade in second.back(second.count(NOW), second.count(NOW) - 200)
    ]
    assert newest(tape(seed=2), 5) != newest(tape(), 5) != newest(tape(name="kalshi"), 5)


@pytest.mark.parametrize("pace", [1, 7, 600, 10_000])
def test_as_many_a_minute_as_were_asked_for(pace: int) -> None:
    of = tape(pace)
    for minute in range(5):
        count = of.count(NOW + (minute + 1) * 60 * SECOND) - of.count(NOW + minute * 60 * SECOND)
        assert abs(count - pace) <= 4


@pytest.mark.parametrize("pace", [11, 600, 10_000])
def test_moments_never_go_back_and_counts_agree_with_them(pace: int) -> None:
    of = tape(pace)
    last = of.count(NOW)
    moments = [of.trade(number).moment for number in range(last - 300, last + 20)]
    assert moments == sorted(moments)
    for number in range(last - 300, last + 20):
        moment = of.trade(number).moment
        assert of.count(moment) >= number and of.count(moment - 1) < number


def test_nothing_is_traded_that_is_not_open() -> None:
    of = tape()
    for trade in of.back(of.count(NOW), of.count(NOW) - 500):
        assert trade.entry.market.opened_at <= trade.moment // SECOND < trade.entry.market.closes_at
        assert trade.entry.market.beat and 1 <= trade.price <= 999 and trade.size > 0


def test_the_large_ones_are_found_without_looking_at_the_others() -> None:
    of = tape(10_000)
    last = of.count(NOW)
    large = [trade for trade in of.back(last, last - 5_000) if trade.value >= 1_000]
    assert list(of.back(last, last - 5_000, least=1_000)) == large
    assert 100 < len(large) < 200


def test_a_pace_of_nothing_and_an_empty_world() -> None:
    assert tape(0).count(NOW) == tape(topics=0).count(NOW) == 0


def test_a_pace_that_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="trades_per_minute"), running(trades_per_minute=10_001):
        pass
