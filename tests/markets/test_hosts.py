"""Nobody but the hosts of the settings is asked anything, and nobody but Opinion sees its key."""

from __future__ import annotations

import os
import socket
from contextlib import closing, suppress
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from markets.exceptions import ExchangeError
from markets.exchanges import CATALOGUES, QUOTES, TAPES, catalogue, quotes, tape
from markets.models import Exchange, Market, SyncLog
from markets.simulator import running
from scheduling import clock
from tests.markets.scripted import Reply, scripted

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "k3y-of-ours"
NAMES = sorted(CATALOGUES)
FAULTS = ("redirect", "not_json", "nested", "content_type", "large", "cut", "down", "too_many", "wrong_types", "errno")


@pytest.fixture
def connected(monkeypatch):
    """Every address that this process connects to, but for its database."""
    addresses: list[tuple[str, int]] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def watched(self, address):
        addresses.append(tuple(address[:2]))
        return connect(self, address)

    def resolved(host, *args, **options):
        addresses.append((host, args[0] if args else 0))
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return addresses


@pytest.fixture
def exchanges(settings):
    """All simulated exchanges, which the settings point to; without a limit, so that it goes quickly."""
    with running(seed=1, topics=30, frozen=True, rate=0, key=KEY) as there:
        for name, url in there.roots.items():
            setattr(settings, name, url)
        settings.OPINION_API_KEY = KEY
        for name in ("OPINION", "POLYMARKET_GAMMA", "POLYMARKET_DATA", "POLYMARKET_CLOB", "KALSHI"):
            setattr(settings, f"{name}_RATE", 0)
        for name in NAMES:
            Exchange.objects.get_or_create(pk=name, defaults={"title": name})
        yield there


def ask_everything(name: str) -> None:
    """Walk the catalogue, read the tape, and ask for prices, a book and a history, whatever comes of it."""
    market = Market(exchange_id=name, kind="binary", external_id="1", yes_token="7", condition_id="0x1")
    now = clock.now()
    with closing(catalogue(name)) as client, suppress(ExchangeError):
        list(client.pages())
    if name in TAPES:
        with closing(tape(name)) as client, suppress(ExchangeError):
            list(client.slices(since=now - timedelta(minutes=1), until=now, least_usd=Decimal(1)))
    if name in QUOTES:
        with closing(quotes(name)) as client:
            with suppress(ExchangeError):
                list(client.prices([market]))
            with suppress(ExchangeError):
                client.book(market)
            with suppress(ExchangeError):
                client.history(market, since=now - timedelta(hours=3), until=now)


@pytest.mark.parametrize("fault", ["", *FAULTS])
@pytest.mark.parametrize("name", NAMES)
def test_no_request_leaves_for_another_host(exchanges, connected, name, fault):
    with scripted(Reply({})) as elsewhere:
        options = {"to": elsewhere.url} if fault == "redirect" else {"retry_after": 0} if fault == "too_many" else {}
        if fault:
            exchanges.fault(fault, **options)
        ask_everything(name)
        ours = {urlsplit(root).port for root in exchanges.roots.values()}
        assert connected and {port for _, port in connected} - {0} <= ours | {_database_port()}
        assert elsewhere.asked == []


def _database_port() -> int:
    return urlsplit(os.environ.get("DATABASE_URL", "")).port or 0


def test_the_test_above_sees_a_request_to_another_host(connected):
    with scripted(Reply({})) as elsewhere, socket.create_connection(("127.0.0.1", elsewhere.server_port)):
        assert ("127.0.0.1", elsewhere.server_port) in connected


def test_the_key_goes_to_opinion_alone(exchanges, settings, monkeypatch):
    with scripted(Reply({"errno": 0, "result": None})) as everybody:
        seen = {}
        for setting in exchanges.roots:
            setattr(settings, setting, everybody.url)
        for name in NAMES:
            everybody.asked.clear()
            ask_everything(name)
            seen[name] = {KEY in str(headers) or KEY in path for path, headers in everybody.asked}
        assert seen.pop("opinion") == {True} and set().union(*seen.values()) <= {False}


def test_the_key_is_in_no_row_and_no_log_after_every_fault(exchanges, caplog):
    from markets.sync import sync_exchanges

    caplog.set_level("DEBUG")
    for fault in FAULTS:
        exchanges.fault(fault, **({"retry_after": 0} if fault == "too_many" else {}))
        with suppress(Exception):
            sync_exchanges("opinion")
        exchanges.clear()
        Exchange.objects.update(failures=0, closed_until=None)
    rows = [*SyncLog.objects.values(), *Exchange.objects.values()]
    assert len(rows) > len(FAULTS) and KEY not in f"{rows} {caplog.text}"
