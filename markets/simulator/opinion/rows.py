"""Opinion's JSON: topics and markets as rows, money as decimal strings, absent as "" or 0."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from markets.simulator import noise, trading
from markets.simulator.topics import Market, Status, Topic
from markets.simulator.words import LABELS, LOCAL_LABEL
from markets.simulator.world import volume_of

Row = dict[str, Any]

CHAIN = "56"
QUOTE_TOKEN = "0x51aB7e00000000000000000000000000000D0E51"  # noqa: S105
EXCHANGE_CONTRACT = "0x51aB7e00000000000000000000000000000C0DE5"
DECIMALS = 18
FACTS_KEPT = 16_384  # rows


def plain(thousandths: int) -> str:
    """As short as it can be said.

    >>> plain(50_000), plain(1_250), plain(0)
    ('50', '1.25', '0')
    """
    return f"{thousandths // 1000}.{thousandths % 1000:03d}".rstrip("0").rstrip(".")


def noisy(thousandths: int) -> str:
    """As a service says it that adds its money up in floats.

    >>> noisy(1_001_130)
    '1001.13'
    >>> noisy(8_686_005)
    '8686.005000000001'
    """
    return repr(thousandths * 0.001)


def long(thousandths: int) -> str:
    """With all 18 decimals of the chain.

    >>> long(1_250)
    '1.250000000000000000'
    """
    return f"{thousandths // 1000}.{thousandths % 1000:03d}{'0' * (DECIMALS - 3)}"


def money(thousandths: int, key: str) -> str:
    """In one of the three styles; a topic keeps its own."""
    return noise.pick((plain, plain, noisy, long), key, "style")(thousandths)


def topic_row(topic: Topic, at: int, *, detail: bool, children: tuple[Market, ...] | None = None) -> Row:
    """A topic as listed, or (`detail`) as answered by its id; `children` are those to show (None = all)."""
    shown = topic.markets if children is None else children
    if topic.categorical:
        own = {"childMarkets": [child_row(child, at, detail=detail) for child in shown], **NO_SIDES}
    else:
        own = {"childMarkets": None, **_market_row(topic.markets[0], at, detail=detail)}
    row = {
        **_topic_facts(topic),
        **own,
        "volume": money(volume_of(topic, at), topic.key),
        "volume24h": money(volume_of(topic, at, trading.DAY), topic.key),
        "volume7d": money(volume_of(topic, at, 7 * trading.DAY), topic.key),
        **_state(topic, at),
    }
    if detail and topic.categorical and says_created(topic):
        row |= {"status": int(Status.CREATED), "statusEnum": "Created", "resolvedAt": 0}
    return row


def child_row(market: Market, at: int, *, detail: bool) -> Row:
    """A child: it has no label, no type, no cutoff of its own and no volume but the total."""
    return {
        **_common_facts(market),
        "marketId": market.number,
        "marketTitle": market.title,
        "slug": market.slug,
        "rules": "",
        "cutoffAt": 0,
        "volume": money(trading.volume(market, at), market.key),
        **_market_row(market, at, detail=detail),
        **_state(market, at),
    }


def says_created(topic: Topic) -> bool:
    """Half of the categorical topics call themselves "Created" in their detail, whatever happens."""
    return noise.chance(0.5, topic.key, "says created")


def _state(thing: Topic | Market, at: int) -> Row:
    status = thing.status(at)
    return {
        "status": int(status),
        "statusEnum": status.name.capitalize(),
        "resolvedAt": thing.resolved_at if status == Status.RESOLVED else 0,
    }


NO_SIDES: Row = {
    "yesLabel": "", "noLabel": "", "yesTokenId": "", "noTokenId": "", "conditionId": "", "resultTokenId": "",
}  # fmt: skip


def _market_row(market: Market, at: int, *, detail: bool) -> Row:
    """What only a row that can be traded has; the listing leaves the condition out."""
    winner = market.yes_token if market.yes_wins else market.no_token
    return {
        "yesLabel": market.yes_label,
        "noLabel": market.no_label,
        "yesTokenId": market.yes_token,
        "noTokenId": market.no_token,
        "conditionId": market.condition if detail else "",
        "resultTokenId": winner if market.status(at) == Status.RESOLVED else "",
    }


@lru_cache(FACTS_KEPT)
def _topic_facts(topic: Topic) -> Row:
    """What never changes in the row of a topic."""
    return _common_facts(topic) | {
        "marketId": topic.number,
        "marketTitle": topic.question.title,
        "marketType": int(topic.categorical),
        "slug": topic.slug,
        "rules": topic.rules,
        "cutoffAt": topic.closes_at,
        "labels": [name for name, _ in topic.labels],
        "labelIds": [number for _, number in topic.labels],
        "coverUrl": "",
        "thumbnailUrl": f"https://images.example/{noise.hexadecimal(24, topic.key, 'image')}.png",
    }


@lru_cache(FACTS_KEPT)
def _common_facts(thing: Topic | Market) -> Row:
    """What never changes in any row; some fields come and go with the version of the row."""
    key = thing.key
    row: Row = {
        "chainId": CHAIN,
        "createdAt": thing.opened_at,
        "questionId": "" if noise.chance(0.2, key, "no question") else noise.hexadecimal(64, key, "question"),
        "quoteToken": QUOTE_TOKEN.lower() if noise.chance(0.5, key, "case") else QUOTE_TOKEN,
    }
    if not noise.chance(0.1, key, "no rebate"):
        row["rebate"] = {"maker": 0.5}
    if noise.chance(0.2, key, "incentive"):
        row["incentiveFactor"] = {}
    if not noise.chance(0.1, key, "old row"):
        row["isResolvableByAI"] = noise.chance(0.5, key, "ai")
    return row


def last_trade(market: Market, token: str, at: int) -> Row:
    """The last trade of a token; of one that was never traded the price is "0.0" and the rest empty."""
    trade = trading.trades(market, at)
    if not trade:
        return {"tokenId": token, "price": "0.0", "side": "", "size": "0", "timestamp": 0}
    bought = trading.buys_yes(market, trade) == (token == market.yes_token)
    kind = "limit" if noise.chance(0.7, market.key, trade, "kind") else "market"
    return {
        "tokenId": token,
        "price": plain(_side_price(market, token, trading.price_of(market, trade))),
        "side": f"{'buy' if bought else 'sell'}-{kind}",
        "size": plain(trading.size_of(market, trade)),
        "timestamp": trading.traded_at(market, trade) * 1_000,
    }


def _side_price(market: Market, token: str, yes: int) -> int:
    return yes if token == market.yes_token else 1_000 - yes


def order_book(market: Market, token: str, at: int) -> Row:
    book = trading.book(market, at)
    if token == market.no_token:
        book = book.mirrored()
    return {
        "market": market.condition,
        "tokenId": token,
        "timestamp": at * 1_000,
        "bids": _levels(book.bids),
        "asks": _levels(book.asks),
    }


def _levels(levels: tuple[trading.Level, ...]) -> list[Row]:
    return [{"price": plain(level.price), "size": plain(level.size)} for level in levels]


def price_points(market: Market, token: str, points: Iterable[tuple[int, int]]) -> list[Row]:
    return [{"t": moment, "p": plain(_side_price(market, token, yes))} for moment, yes in points]


def label_rows() -> list[Row]:
    names = [*LABELS.items(), LOCAL_LABEL]
    return [{"labelId": number, "labelName": name, "imageUrl": "", "imageMobileUrl": ""} for name, number in names]


def quote_token_rows() -> list[Row]:
    return [
        {
            "id": 1,
            "quoteTokenName": "Simulated Dollar",
            "quoteTokenAddress": QUOTE_TOKEN,
            "ctfExchangeAddress": EXCHANGE_CONTRACT,
            "decimal": DECIMALS,
            "symbol": "SIMUSD",
            "chainId": CHAIN,
            "createdAt": 1_735_689_600,
        }
    ]
