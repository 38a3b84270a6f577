"""The figures of a report in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from markets.admin.words import cents, dollars, money, percent

INPUTS = {
    "book": "order book",
    "day": "prices of the last day",
    "month": "prices of the last 30 days",
    "trades": "whale trades of the last 8 days",
    "related": "markets of the same topic",
    "elsewhere": "the same question at other exchanges",
}
PRICES = {
    "mid": "the middle between bid and ask",
    "last": "its last price",
    "last seen": "as it was last seen",
}


def sentences(figures: Mapping[str, Any]) -> list[str]:
    """What a report found, a sentence for each of its parts; nothing of what is not known."""
    known = {name: value for name, value in figures.items() if value is not None}
    parts = (_price, _book, _depth, _volatility, _trend, _whales, _elsewhere)
    return [sentence for part in parts for sentence in part(known)]


def amount(value: Any) -> Decimal | None:
    """A stored figure as the Decimal that it was."""
    return None if value is None else Decimal(value)


def _price(known: Mapping[str, Any]) -> Iterator[str]:
    if "price" in known:
        of = PRICES.get(known.get("price_of", ""), "")
        yield f"A YES share costs {money(Decimal(known['price']))}" + (f": {of}." if of else ".")


def _book(known: Mapping[str, Any]) -> Iterator[str]:
    bid, ask = amount(known.get("best_bid")), amount(known.get("best_ask"))
    if bid is not None and ask is not None and "spread" in known:
        yield f"The best bid is {money(bid)} and the best ask {money(ask)}: {cents(ask - bid)} lie between them."
    elif bid is not None and ask is not None:
        yield f"The best bid, {money(bid)}, is above the best ask, {money(ask)}: the book was read while it moved."
    elif bid is not None:
        yield f"The best bid is {money(bid)}, and nobody sells."
    elif ask is not None:
        yield f"The best ask is {money(ask)}, and nobody buys."


def _depth(known: Mapping[str, Any]) -> Iterator[str]:
    for words, bids, asks in depth(known):
        yield f"Within {words} of the mid, {dollars(bids)} are bid and {dollars(asks)} asked."


def depth(figures: Mapping[str, Any]) -> list[tuple[str, Decimal, Decimal]]:
    """What is offered within some distances of the mid: (distance in words, dollars bid, dollars asked)."""
    return [
        (cents(Decimal(distance) / 100), Decimal(sides["bids"]["dollars"]), Decimal(sides["asks"]["dollars"]))
        for distance, sides in (figures.get("depth") or {}).items()
    ]


def _volatility(known: Mapping[str, Any]) -> Iterator[str]:
    if "volatility_day" in known:
        yield f"In the last day its price moved by {cents(Decimal(known['volatility_day']))}, step by step."
    if "volatility_month" in known:
        yield f"Over the last 30 days it moved by {cents(Decimal(known['volatility_month']))} a day."


def _trend(known: Mapping[str, Any]) -> Iterator[str]:
    if "whale_volume_day" not in known:
        return
    day = dollars(Decimal(known["whale_volume_day"]))
    if "volume_trend" in known:
        times = f"{Decimal(known['volume_trend']):.2f}"
        yield f"Whales traded {day} in the last 24 hours: {times} times an average day of the 7 before."
    else:
        yield f"Whales traded {day} in the last 24 hours, and nothing in the 7 days before."


def _whales(known: Mapping[str, Any]) -> Iterator[str]:
    whales = known.get("whales")
    if not whales:
        return
    shares = {name: percent(Decimal(whales[name])) for name in ("known", "largest", "five_largest")}
    wallets = "One wallet" if whales["wallets"] == 1 else f"{whales['wallets']:,} wallets"
    yield (
        f"{wallets} made these trades, as far as they are known ({shares['known']} of the dollars): the largest has "
        f"{shares['largest']}, the five largest {shares['five_largest']}. "
        f"Herfindahl index: {Decimal(whales['herfindahl']):.3f}."
    )


def _elsewhere(known: Mapping[str, Any]) -> Iterator[str]:
    for other in known.get("elsewhere", ()):
        if other.get("difference") is None:
            continue
        over = Decimal(other["difference"])
        price = f"At {other['exchange']} the same costs {money(Decimal(other['price']))}"
        yield f"{price}: {cents(abs(over))} {'less' if over > 0 else 'more'} than here." if over else f"{price}, too."
