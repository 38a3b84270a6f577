"""Opinion's trades, as far as they can be had without a key: the last one of each token, again and again.

There is no feed of trades over REST. So what is read are samples: of two trades between two looks the first is
never seen. With a key, `manage.py stream_trades` hears of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from markets import limits
from markets.exceptions import BadAnswer, Refused
from markets.exchanges.fields import money
from markets.exchanges.opinion import hosts
from markets.exchanges.opinion.payloads import LastPrice
from markets.exchanges.opinion.quotes import LATEST
from markets.exchanges.reading import read, rejected
from markets.exchanges.rows import Rejected, Side, Slice, TradeRow
from markets.exchanges.wire import Answer, Request, Wire
from markets.models import Market

BUDGET = 20
"""Requests of one sync: a third of what all syncs of trades may send in a minute."""
SIDES: dict[str, Side] = {"buy": "buy", "sell": "sell"}


@dataclass(frozen=True)
class _Token:
    """A token that is looked at."""

    id: str
    market: str
    outcome: str


class OpinionTape:
    """Samples the trades of the markets that are watched; where few are, of those with the most volume too."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one that the settings describe, within the limit of all syncs of trades too."""
        self.wire = wire or hosts.api(limits.WHALES)

    def slices(self, *, since: datetime, until: datetime, least_usd: Decimal) -> Iterator[Slice]:
        """One slice: the last trade of each token. Of more than 20 that are watched, each sync looks at the next 20."""
        tokens = _looked_at()
        chosen, rounds = _turn(tokens, until)
        first = until - rounds * (until - since)  # a token was last looked at so many syncs ago
        rows: list[TradeRow] = []
        bad: list[Rejected] = []
        requests = (Request(path=LATEST, params={"token_id": token.id}) for token in chosen)
        for token, answer in zip(chosen, self.wire.get_all(requests), strict=True):
            try:
                row = self._row(token, answer)
            except (BadAnswer, Refused, ValueError) as error:
                bad.append(rejected({"tokenId": token.id}, str(error), name="tokenId", secrets=self.wire.secrets))
                continue
            if row and first <= row.traded_at <= until and row.usd >= least_usd:
                rows.append(row)
        rows.sort(key=lambda row: (row.traded_at, row.key))
        yield Slice(until=until, rows=tuple(rows), rejected=tuple(bad), missed=_missed(len(chosen), len(tokens)))

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _row(self, token: _Token, answer: Answer) -> TradeRow | None:
        """The last trade of a token; None where it was never traded."""
        last = read(LastPrice, hosts.inside(answer, self.wire), LATEST)
        if last.timestamp is None:
            return None
        return TradeRow(
            key=f"{token.id}:{round(last.timestamp.timestamp() * 1000)}",
            market=token.market,
            side=side(last.side),
            outcome=token.outcome,
            price=last.price,
            size=last.size,
            usd=money(last.size, last.price),
            traded_at=last.timestamp,
            sampled=True,
        )


def side(said: str | None) -> Side:
    """A side in Opinion's words: "BUY", "Sell", "buy-limit"; ValueError for another."""
    word = (said or "").casefold().partition("-")[0]
    if word not in SIDES:
        raise ValueError("side: buy or sell is expected")
    return SIDES[word]


def _looked_at() -> list[_Token]:
    """Both tokens of each open market that is watched, and, up to the budget, of others with the most volume."""
    markets = Market.objects.of("opinion").open().filter(kind=Market.Kind.BINARY)
    tokens = _tokens(markets.filter(watched=True).order_by("pk"))
    if (room := BUDGET - len(tokens)) > 0:
        tokens += _tokens(markets.filter(watched=False, volume__gt=0).order_by("-volume", "pk")[: room // 2])
    return tokens


def _tokens(markets: QuerySet[Market]) -> list[_Token]:
    found = markets.values_list("external_id", "yes_token", "no_token")
    pairs = ((market, token) for market, *both in found for token in zip(("Yes", "No"), both, strict=True))
    return [_Token(id=token, market=market, outcome=outcome) for market, (outcome, token) in pairs if token]


def _turn(tokens: list[_Token], until: datetime) -> tuple[list[_Token], int]:
    """Those whose turn it is in this minute, and after how many minutes each has its turn again."""
    rounds = max(-(-len(tokens) // BUDGET), 1)
    return tokens[int(until.timestamp()) // 60 % rounds :: rounds], rounds


def _missed(looked: int, of: int) -> str:
    return f"Opinion has no feed of trades: the last ones of {looked} of {of} tokens are all that was seen."
