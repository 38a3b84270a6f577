"""`manage.py stream_trades`, as a shell sees it."""

from __future__ import annotations

import io
import os
import signal
import threading
from contextlib import closing
from decimal import Decimal
from functools import partial

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from markets.exchanges.opinion.stream import Stream
from markets.models import Market, WhaleTrade
from markets.simulator import running
from markets.sync import sync_exchange
from markets.trades import write_slice
from tests.markets.test_opinion_stream import exchange, message, telling  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "k3y-of-ours"


@pytest.fixture(autouse=True)
def handlers():
    """What signals do is put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run() -> str:
    out, err = io.StringIO(), io.StringIO()
    call_command("stream_trades", stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def test_without_a_key_it_says_what_is_missing(settings):
    settings.OPINION_API_KEY = " "
    with pytest.raises(CommandError, match="OPINION_API_KEY is empty") as caught:
        run()
    assert caught.value.returncode == 2


def test_a_key_that_is_refused_is_a_failure(exchange, settings):  # noqa: F811
    there = exchange(telling(), process_request=lambda connection, _: connection.respond(403, "no"))
    settings.OPINION_API_KEY, settings.OPINION_WS_URL = KEY, there.url
    with pytest.raises(CommandError, match="403") as caught:
        run()
    assert caught.value.returncode == 1 and KEY not in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_keeps_large_trades_until_it_is_told_to_end(exchange, settings, eventually, number):  # noqa: F811
    market = Market.objects.create(
        exchange_id="opinion", kind="binary", external_id="5", title="?", status="open", volume=1
    )
    there = exchange(telling(message(), message(), message(amount="999"), message(shares="3000", amount="2550")))
    settings.OPINION_API_KEY, settings.OPINION_WS_URL, settings.WHALE_TRADE_MIN_USD = KEY, there.url, "1000"

    def end() -> None:
        with closing(connection):
            eventually(lambda: WhaleTrade.objects.count() == 2)
            os.kill(os.getpid(), number)

    killer = threading.Thread(target=end)
    killer.start()
    assert run() == ""
    killer.join()
    trades = WhaleTrade.objects.order_by("usd")
    assert [trade.usd for trade in trades] == [Decimal(1700), Decimal(2550)]
    assert {(trade.market, trade.sampled) for trade in trades} == {(market, False)}


def test_what_the_simulated_exchange_tells_is_what_was_traded(settings, eventually):
    with running(seed=1, topics=20, frozen=True, rate=0, key=KEY) as there:
        settings.OPINION_API_URL, settings.OPINION_API_KEY, settings.OPINION_RATE = there.url, KEY, 0
        sync_exchange("opinion")
        stop, began = threading.Event(), there.now

        def trade_on() -> None:
            with closing(connection):
                eventually(lambda: there.step(60) and WhaleTrade.objects.count() > 20)
                stop.set()

        world = threading.Thread(target=trade_on)
        world.start()
        Stream(there.ws_url, KEY, keep=partial(write_slice, "opinion"), least_usd=Decimal(50)).run(stop)
        world.join()
        rows = (row for row in there.truth("opinion", since=began, least="50") if row["row"] == "trade")
        traded = {(row["market"], row["side"], Decimal(row["price"]), Decimal(row["size"])) for row in rows}
        kept = WhaleTrade.objects.select_related("market")
        assert {(trade.market_key, trade.side, trade.price, trade.size) for trade in kept} <= traded
        assert all(trade.market.external_id == trade.market_key for trade in kept)
