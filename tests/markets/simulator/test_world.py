"""The world as a function of seed and moment."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest

from markets.simulator import RunningExchange, running
from markets.simulator.clock import FROZEN_AT
from markets.simulator.opinion import rows
from markets.simulator.timetable import EPOCH, Timetable, shares
from markets.simulator.topics import Status
from markets.simulator.trading import HIGHEST, LOWEST, price_of, trades, volume_after
from markets.simulator.world import KEPT, World, volume_of
from tests.markets.simulator.client import Client

NOW = FROZEN_AT
HOUR = 3_600


def snapshot(world: World, at: int) -> str:
    topics = world.activated(at) + world.resolved(at)
    return json.dumps([rows.topic_row(topic, at, detail=True) for topic in topics])


class TestPureFunction:
    def test_the_same_seed_and_moment_give_the_same_world(self) -> None:
        assert snapshot(World(7, 40), NOW) == snapshot(World(7, 40), NOW)

    def test_in_another_process_too(self) -> None:
        script = (
            "from markets.simulator.opinion import rows\nfrom markets.simulator.world import World\n"
            f"w = World(7, 40)\nprint([rows.topic_row(t, {NOW}, detail=True) for t in w.activated({NOW})])"
        )
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        world = World(7, 40)
        here = [rows.topic_row(topic, NOW, detail=True) for topic in world.activated(NOW)]
        assert other.stdout.strip() == repr(here)

    def test_the_order_of_questions_does_not_matter(self) -> None:
        world = World(7, 40)
        snapshot(world, NOW + HOUR)
        snapshot(world, NOW - HOUR)
        assert snapshot(world, NOW) == snapshot(World(7, 40), NOW)

    def test_another_seed_is_another_world(self) -> None:
        assert snapshot(World(7, 40), NOW) != snapshot(World(8, 40), NOW)

    def test_a_topic_keeps_its_facts_as_time_goes_on(self) -> None:
        world = World(7, 40)
        before = {(topic.categorical, topic.number): topic.slug for topic in world.activated(NOW)}
        after = {(topic.categorical, topic.number): topic.slug for topic in world.activated(NOW + 600)}
        assert set(before) & set(after)
        assert all(after[number] == slug for number, slug in before.items() if number in after)

    def test_a_restarted_server_continues(self) -> None:
        def titles(at: int) -> list[str]:
            with running(seed=3, topics=40, frozen=True, rate=0, start=at) as exchange, Client(exchange.url) as client:
                return [row["marketTitle"] for row in client.open_topics()]

        with running(seed=3, topics=40, frozen=True, rate=0) as exchange, Client(exchange.url) as client:
            moment = exchange.step(900)
            assert [row["marketTitle"] for row in client.open_topics()] == titles(moment)


class TestTime:
    @pytest.mark.parametrize("topics", [1, 7, 60, 300])
    def test_as_many_topics_are_open_as_were_asked_for(self, topics: int) -> None:
        world = World(1, topics)
        assert {len(world.listing(NOW + minute * 60, "activated")) for minute in range(0, 600, 7)} == {topics}

    def test_volumes_never_shrink(self) -> None:
        world = World(1, 60)
        for topic in world.activated(NOW):
            volumes = [volume_of(topic, NOW + second) for second in range(0, 2 * HOUR, 37)]
            assert volumes == sorted(volumes)

    def test_every_trade_adds_to_the_volume(self) -> None:
        world = World(1, 60)
        for topic in world.activated(NOW):
            volumes = [volume_after(topic.markets[0], trade) for trade in range(50)]
            assert all(before < after for before, after in pairwise(volumes))

    def test_prices_walk_within_bounds(self) -> None:
        seen: set[int] = set()
        for topic in World(1, 60).activated(NOW):
            for market in topic.markets:
                prices = {price_of(market, trade) for trade in range(1, trades(market, market.closes_at), 50)}
                assert all(LOWEST <= price <= HIGHEST for price in prices)
                seen |= prices
        assert len(seen) > 300

    def test_a_good_part_changes_within_seconds(self) -> None:
        world = World(1, 300)
        before = {topic.key: volume_of(topic, NOW) for topic in world.activated(NOW)}
        after = {topic.key: volume_of(topic, NOW + 5) for topic in world.activated(NOW + 5)}
        changed = sum(volume != after.get(key) for key, volume in before.items())
        assert changed > 30

    def test_about_one_topic_opens_and_one_closes_a_minute(self) -> None:
        world = World(1, 300)
        seen = [set(world.listing(NOW + minute * 60, "activated")) for minute in range(61)]
        opened = sum(len(after - before) for before, after in pairwise(seen))
        closed = sum(len(before - after) for before, after in pairwise(seen))
        assert opened == closed and 50 <= opened <= 70


class TestEndOfATopic:
    def test_open_then_resolving_then_resolved(self) -> None:
        world = World(1, 60)
        topic = world.activated(NOW)[-1]
        assert topic.status(topic.closes_at - 1) == Status.ACTIVATED
        assert topic.status(topic.closes_at) == Status.RESOLVING
        assert topic.status(topic.resolved_at) == Status.RESOLVED

    def test_no_listing_shows_a_resolving_topic_but_its_id_does(
        self, exchange: RunningExchange, client: Client
    ) -> None:
        topic = min((t for t in exchange.world.activated(exchange.now) if not t.categorical), key=lambda t: t.closes_at)
        exchange.step(topic.closes_at - exchange.now)
        for status in ("activated", "resolved", ""):
            assert topic.number not in {row["marketId"] for row in client.walk(status=status)}
        detail = client.data(f"/market/{topic.number}")
        assert (detail["status"], detail["statusEnum"], detail["resultTokenId"]) == (3, "Resolving", "")
        exchange.step(topic.resolved_at - exchange.now)
        assert topic.number in {row["marketId"] for row in client.walk(status="resolved")}
        assert client.data(f"/market/{topic.number}")["resultTokenId"]

    def test_long_after_it_is_reached_by_id_only(self, exchange: RunningExchange, client: Client) -> None:
        topic = exchange.world.resolved(exchange.now)[0]
        kind = "categorical/" if topic.categorical else ""
        before = client.data(f"/market/{kind}{topic.number}")
        exchange.step(KEPT + HOUR)
        assert client.data(f"/market/{kind}{topic.number}")["marketTitle"] == before["marketTitle"]
        assert topic.key not in {other.key for other in exchange.world.resolved(exchange.now)}

    def test_a_closed_market_trades_no_more(self) -> None:
        for topic in World(1, 60).resolved(NOW):
            assert volume_of(topic, topic.closes_at) == volume_of(topic, NOW + HOUR)


class TestFrozen:
    def test_it_stands_still(self, client: Client) -> None:
        assert client.open_topics() == client.open_topics()

    def test_until_it_is_stepped(self, exchange: RunningExchange, client: Client) -> None:
        before = client.open_topics()
        assert exchange.step(120) == NOW + 120
        assert client.open_topics() != before

    def test_a_running_world_is_not_stepped(self) -> None:
        with running(topics=5) as exchange, pytest.raises(ValueError, match="frozen"):
            exchange.step(1)

    def test_time_does_not_go_back(self, exchange: RunningExchange) -> None:
        with pytest.raises(ValueError, match="ahead"):
            exchange.step(-1)


class TestTimetable:
    @pytest.mark.parametrize("total", range(12))
    def test_shares_add_up(self, total: int) -> None:
        assert sum(shares(total, (1, 2, 4, 8, 16, 32))) == total

    def test_numbers_lead_back_to_their_topics(self) -> None:
        timetable = Timetable(1, 60)
        for opening in timetable.open_in(timetable.moment(NOW)):
            assert timetable.topic(opening.slot.categorical, opening.number) == opening
            if opening.slot.categorical:
                assert timetable.child(opening.child_number(7)) == (opening, 7)

    @pytest.mark.parametrize("number", [0, -5])
    def test_no_topic_bears_a_number_below_one(self, number: int) -> None:
        assert World(1, 60).find_market(number, NOW) is None

    def test_nothing_opened_before_the_epoch(self) -> None:
        assert World(1, 60).activated(EPOCH - 1) == []
