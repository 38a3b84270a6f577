"""JSON of outsiders: exact, and bounded."""

import tracemalloc
from decimal import Decimal

import pytest

from markets.exchanges.decoding import MAX_VALUES, decode


def test_numbers_lose_nothing():
    assert decode(b'[0.1, 1e2, 123456789012345678901234567890, 0.000000000000000001]') == [
        Decimal("0.1"), Decimal("1e2"), 123456789012345678901234567890, Decimal("0.000000000000000001"),
    ]  # fmt: skip


def test_numbers_beyond_reason_are_texts_that_no_field_takes():
    long, far = "9" * 5000, "1e99999999999999999999"
    assert decode(f"[{long}, {far}, NaN, -Infinity]") == [long, far, "NaN", "-Infinity"]


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_what_is_nested_without_end_is_refused(body):
    with pytest.raises(ValueError, match="nested too deep"):
        decode(body.encode())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Expecting value, at character 0"),
        (b'{"errno": 0, "res', "at character 13"),
        (b"<html>", "Expecting value"),
        (b'["\xff\xfe"]', "not UTF-8"),
        (b"[1] [2]", "Extra data"),
    ],
)
def test_the_error_says_what_is_wrong_and_where(body, said):
    with pytest.raises(ValueError, match=said):
        decode(body)


@pytest.mark.parametrize("value", ["{}", "[]", "1.1", '"a"', "1000", '{"a":1}'])
def test_a_body_of_8_mib_cannot_fill_the_memory(value):
    many = (8 << 20) // (len(value) + 1)
    body = f"[{','.join([value] * many)}]".encode()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="1,000,000 values"):
            decode(body)
        decode(f"[{','.join([value] * (MAX_VALUES // 3))}]".encode())
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
