"""`manage.py compare_world`: equal is 0, anything else is told and 1."""

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from markets.models import Exchange, Market, Position, WhaleTrade
from markets.simulator import RunningExchange
from markets.simulator.comparing import PLACES
from markets.sync import sync_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def run(exchange: RunningExchange, *flags: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("compare_world", "--url", exchange.control_url.removesuffix("/control"), *flags, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


def when(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def hold(exchange: RunningExchange, name: str, since: int) -> list[WhaleTrade]:
    """Write the trades of the world as a sync would: with as many places as are kept."""
    Exchange.objects.get_or_create(pk=name, defaults={"title": name})
    rows = [row for row in exchange.truth(name, since, "1000") if row["row"] == "trade"]
    amounts = ("price", "size", "usd")
    held = WhaleTrade.objects.bulk_create(
        WhaleTrade(
            exchange_id=name,
            market_key=row["market"],
            external_key=str(number),
            traded_at=when(row["traded_at"]),
            side=row["side"],
            outcome=row["outcome"],
            **{name: Decimal(row[name]).quantize(PLACES) for name in amounts},
        )
        for number, row in enumerate(rows)
    )
    Position.objects.create(exchange_id=name, until=when(exchange.now * 1_000_000))
    return held


class TestMarkets:
    def test_a_sync_makes_them_equal(self, following: Any) -> None:
        exchange = following()
        sync_exchange("opinion")
        code, out = run(exchange, "--exchange", "opinion", "--json")
        (result,) = json.loads(out)
        assert (code, result["differences"], result["markets"]) == (0, 0, Market.objects.count())

    def test_what_changed_since_is_told(self, following: Any) -> None:
        exchange = following()
        sync_exchange("opinion")
        exchange.step(600)
        code, out = run(exchange, "--exchange", "opinion")
        assert code == 1
        assert "volume is" in out and "is not in the database" in out
        assert len(out.splitlines()) == 21

    def test_what_the_world_does_not_know_is_told(self, following: Any) -> None:
        exchange = following()
        sync_exchange("opinion")
        Market.objects.create(exchange_id="opinion", kind="binary", external_id="5", title="?", status="open", volume=0)
        code, out = run(exchange, "--exchange", "opinion")
        assert (code, "binary 5: is in the database, and not in the world" in out) == (1, True)

    def test_what_ended_over_a_day_before_is_left_out(self, following: Any) -> None:
        exchange = following()
        sync_exchange("opinion")
        ended = datetime.fromtimestamp(exchange.now - 90_000, UTC)
        Market.objects.create(
            exchange_id="opinion", kind="binary", external_id="5", title="?", status="open", volume=0, closes_at=ended
        )
        code, out = run(exchange, "--exchange", "opinion", "--json")
        assert (code, json.loads(out)[0]["aged"]) == (0, 1)

    def test_all_exchanges_unless_told(self, following: Any) -> None:
        exchange = following()
        sync_exchange("opinion")
        code, out = run(exchange, "--json")
        assert code == 1
        assert [result["exchange"] for result in json.loads(out)] == ["opinion", "polymarket", "kalshi"]


class TestTrades:
    @pytest.mark.parametrize("name", ["polymarket", "kalshi"])
    def test_each_has_to_be_there_once_and_no_other(self, following: Any, name: str) -> None:
        exchange = following()
        held = hold(exchange, name, exchange.now - 600)
        assert len(held) > 50
        assert "trade" not in _told(exchange, name)
        WhaleTrade.objects.filter(pk=held[5].pk).delete()
        assert _told(exchange, name).count("is not in the database") == 1
        WhaleTrade.objects.filter(pk=held[6].pk).update(size=1)
        assert _told(exchange, name).count("is not in the world") == 1

    def test_of_opinion_some_are_enough(self, following: Any) -> None:
        exchange = following()
        held = hold(exchange, "opinion", exchange.now - 600)
        WhaleTrade.objects.filter(pk__in=[trade.pk for trade in held[1::2]]).delete()
        assert "trade" not in _told(exchange, "opinion")
        WhaleTrade.objects.filter(pk=held[0].pk).update(size=1)
        assert "is not in the world" in _told(exchange, "opinion")


def _told(exchange: RunningExchange, name: str) -> str:
    """The differences in trades."""
    from markets.simulator.comparing import compare

    found = compare(exchange.control_url, name, least=Decimal(1_000))
    return "\n".join(text for text in found.differences if text.startswith("trade"))


def test_a_simulator_that_is_not_there() -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match="no answer") as caught:
        call_command("compare_world", "--url", "http://127.0.0.1:1", stdout=out)
    assert (caught.value.returncode, out.getvalue()) == (1, "")
