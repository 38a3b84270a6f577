"""Money, exact on both databases."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Max

from markets.models import Market
from markets.models.fields import MoneySum

pytestmark = pytest.mark.django_db

LARGE = Decimal("12345678901234567890.123456789012345678")
SMALL = Decimal("0.000000000000000001")


def market(number, volume):
    return Market.objects.create(
        exchange_id="opinion", kind="binary", external_id=str(number), title="?", status="open", volume=volume
    )


@pytest.mark.parametrize("amount", [LARGE, SMALL, Decimal(0), Decimal("8001580.237000000500000000")])
def test_every_digit_comes_back(amount):
    kept = Market.objects.get(pk=market(1, amount).pk)
    assert kept.volume == amount and isinstance(kept.volume, Decimal)
    assert Market.objects.filter(volume=amount).count() == 1


def test_it_compares_and_sorts_as_a_number():
    for number, amount in enumerate(("9", "10", "2.5", "100000000000")):
        market(number, Decimal(amount))
    assert list(Market.objects.order_by("-volume").values_list("volume", flat=True)) == [
        100000000000,
        10,
        9,
        2.5,
    ]
    assert Market.objects.filter(volume__gt=Decimal("9.5")).count() == 2
    assert Market.objects.aggregate(most=Max("volume"))["most"] == 100000000000


def test_its_sum_is_exact():
    for number, amount in enumerate((LARGE, SMALL, SMALL)):
        market(number, amount)
    total = Market.objects.aggregate(total=MoneySum("volume"))["total"]
    assert total == Decimal("12345678901234567890.123456789012345680") and isinstance(total, Decimal)
    assert Market.objects.none().aggregate(total=MoneySum("volume"))["total"] is None
    assert Market.objects.filter(pk=0).aggregate(total=MoneySum("volume"))["total"] is None
    grouped = Market.objects.values("status").annotate(total=MoneySum("volume"))
    assert [row["total"] for row in grouped] == [total]


@pytest.mark.parametrize("wrong", ["-1", "NaN", "Infinity"])
def test_what_is_no_amount_is_refused(wrong):
    with pytest.raises((ValueError, ValidationError)):
        market(1, Decimal(wrong))


def test_sqlite_keeps_no_float():
    if connection.vendor != "sqlite":
        pytest.skip("asks for SQLite's storage class")
    market(1, LARGE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT typeof(volume) FROM markets_market")
        assert cursor.fetchone() == ("text",)
