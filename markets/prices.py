"""Prices of watched markets that no listing says, asked for one by one within a budget of requests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from django.db.models import Exists, F, OuterRef

from markets import conf
from markets.exceptions import ExchangeError
from markets.exchanges import QUOTES, quotes
from markets.exchanges.rows import Rejected
from markets.models import Market, PriceSnapshot
from markets.results import Tally
from markets.writing import record_price
from scheduling import clock


def ask(tally: Tally, *, since: datetime, say: Callable[[str], None]) -> None:
    """Ask for the prices of what is watched on an exchange and has had none since a moment; keep each as it comes.

    Of at most PRICE_REQUESTS markets, those first that were not asked for the longest. An error of the exchange
    ends it, and is kept as a rejected row: the sync that it belongs to has its markets.
    """
    if tally.exchange not in QUOTES or not (chosen := _unpriced(tally.exchange, since)):
        return
    # Before they are asked, so that one whose answer ends the process does not stand in the way of the others again.
    Market.objects.filter(pk__in=[market.pk for market in chosen]).update(asked_at=clock.Now())
    with closing(quotes(tally.exchange)) as client:
        try:
            for number, (market, price) in enumerate(client.prices(chosen), start=1):
                record_price(market=market, price=price.price, at=price.at)
                say(f"{tally.exchange}: price {number} of {len(chosen)}")
        except ExchangeError as error:
            tally.reject(Rejected(external_id=None, reason=f"prices: {error.for_operators()}", raw=""))
        finally:
            tally.asked += client.wire.requests


def _unpriced(exchange: str, since: datetime) -> list[Market]:
    priced = PriceSnapshot.objects.filter(market=OuterRef("pk"), at__gte=since)
    markets = Market.objects.of(exchange).open().filter(~Exists(priced), watched=True, kind=Market.Kind.BINARY)
    return list(markets.order_by(F("asked_at").asc(nulls_first=True), "pk")[: conf.price_requests()])
