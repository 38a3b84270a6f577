"""Amounts and markets as people read them."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote

from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.models import Market
from scheduling.admin import display


def money(amount: Decimal | None) -> str:
    """An amount for people: whole from 1,000 on.

    >>> money(Decimal("1234567.8900")), money(Decimal("12.5000"))
    ('1,234,568', '12.5')
    """
    if amount is None:
        return display.NOTHING
    if amount >= 1000:
        return f"{amount:,.0f}"
    return f"{amount:.4f}".rstrip("0").rstrip(".") or "0"


def dollars(amount: Decimal | None) -> str:
    """Dollars, without cents.

    >>> dollars(Decimal("1234.56"))
    '$1,235'
    """
    return display.NOTHING if amount is None else f"${amount:,.0f}"


def cents(amount: Decimal) -> str:
    """A difference of prices in cents.

    >>> cents(Decimal("0.0150")), cents(Decimal("-0.01"))
    ('1.5 cents', '-1 cent')
    """
    number = f"{amount * 100:.2f}".rstrip("0").rstrip(".")
    return f"{number} cent" if number in ("1", "-1") else f"{number} cents"


def percent(share: Decimal) -> str:
    """A share of a whole.

    >>> percent(Decimal("0.4567"))
    '45.7%'
    """
    return f"{share * 100:.1f}".removesuffix(".0") + "%"


def address(market: Market) -> str:
    """A market's page at its exchange; "" where the form of its address is not known."""
    if market.exchange_id == "polymarket" and market.slug:
        return f"https://polymarket.com/market/{quote(market.slug, safe='')}"
    if market.exchange_id == "kalshi":
        series = market.external_id.partition("-")[0].lower()
        return f"https://kalshi.com/markets/{quote(series, safe='')}"
    if market.exchange_id == "opinion":
        topic = market.parent or market
        many = "&type=multi" if topic.kind == Market.Kind.CATEGORICAL else ""
        return f"https://app.opinion.trade/detail?topicId={quote(topic.external_id, safe='')}{many}"
    return ""


def outside(market: Market | None, words: str) -> SafeString | str:
    """A link to a market's page at its exchange, in a tab of its own; empty where there is none."""
    url = address(market) if market else ""
    return format_html('<a href="{}" target="_blank" rel="noopener noreferrer">{} ↗</a>', url, words) if url else ""
