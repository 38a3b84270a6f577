"""Fields of answers: what they take, what they refuse, and that nothing sent makes them run away."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError

from markets.exchanges import fields


def read(kind, value):
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    "digits", ["1e400", "1E+999999999", "1e-99999999", "1e999999999999999999", "123456789012345678901234567890.5"]
)
def test_a_number_too_large_to_be_written_out_is_refused_at_once(digits):
    started = time.monotonic()
    with pytest.raises(ValidationError, match="whole number"):
        read(fields.Number, Decimal(digits))
    assert time.monotonic() - started < 1


def test_whole_numbers_may_come_as_decimals():
    assert read(fields.Number, Decimal("5.0")) == 5 and read(fields.Number, Decimal("1e3")) == 1000


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ("2026-11-01 06:28:08+00", datetime(2026, 11, 1, 6, 28, 8, tzinfo=UTC)),
        ("2026-11-01T06:28:08.5Z", datetime(2026, 11, 1, 6, 28, 8, 500_000, tzinfo=UTC)),
        ("2026-11-01T06:28:08.912576+02:00", datetime(2026, 11, 1, 4, 28, 8, 912_576, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_moments_come_in_several_ways(sent, read_as):
    assert read(fields.Instant, sent) == read_as


@pytest.mark.parametrize(
    "wrong", ["2026-11-01", "2026-11-01T06:28:08", "9999-12-31T23:59:59-01:00", "soon", 5, True, [], "2" * 41]
)
def test_what_is_no_moment_is_refused(wrong):
    with pytest.raises(ValidationError, match="moment"):
        read(fields.Instant, wrong)


@pytest.mark.parametrize("wrong", [None, "", "0001-01-01T00:00:00Z"])
def test_a_moment_that_is_needed_cannot_be_absent(wrong):
    with pytest.raises(ValidationError):
        read(fields.GivenInstant, wrong)
    with pytest.raises(ValidationError):
        read(fields.GivenTime, 0)


def test_a_price_is_at_most_1_and_an_amount_may_be_absent():
    assert read(fields.Price, "1.0000") == 1 and read(fields.Price, Decimal("0.5799999944021446")).is_finite()
    for wrong in ("1.0001", "-0.1", "", None, "NaN", True, "1e400"):
        with pytest.raises(ValidationError):
            read(fields.Price, wrong)
    assert read(fields.Amount, "") is None and read(fields.Amount, None) is None and read(fields.Amount, 5) == 5


def test_what_shares_are_worth_is_reckoned_exactly():
    assert fields.money(Decimal("32.155171"), Decimal("0.16")) == Decimal("5.14482736")
    most = Decimal("99999999999999999999.999999999999999999")
    assert fields.money(most, Decimal(1)) == most
    assert fields.money(Decimal("1e-18"), Decimal("0.1")) == 0
