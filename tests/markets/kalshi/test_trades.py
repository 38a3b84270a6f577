"""Kalshi's trades over HTTP: slices of time, each whole, and what lies where two of them meet."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest

from markets.exceptions import BadAnswer, Unreachable
from markets.exchanges.kalshi import trades
from markets.exchanges.kalshi.trades import FIRST_SPAN, LONGEST, OVERLAP, KalshiTape
from tests.markets.kalshi.rows import tape, trade_entry
from tests.markets.scripted import Reply

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
LEAST = Decimal("1000")


def after(seconds):
    return NOON + timedelta(seconds=seconds)


class Tape:
    """Trades of these seconds after NOON, the newest first, a page of `most`; its bounds are not inside."""

    def __init__(self, seconds, *, most=1_000):
        self.entries = sorted((after(at), number) for number, at in enumerate(seconds))[::-1]
        self.most, self.asked, self.broken = most, [], {}

    def __call__(self, path):
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        low, high, start = int(query["min_ts"]), int(query["max_ts"]), int(query.get("cursor") or 0)
        self.asked.append((low, high, start))
        found = [entry for entry in self.entries if low < entry[0].timestamp() < high]
        page = [
            trade_entry(number, created_time=at.isoformat().replace("+00:00", "Z")) | self.broken.get(number, {})
            for at, number in found[start : start + min(int(query["limit"]), self.most)]
        ]
        more = start + len(page) < len(found)
        return Reply(tape(*page, cursor=str(start + len(page)) if more else ""))


@pytest.fixture
def read(reading):
    def slices(source, *, since, until, least_usd=LEAST):
        wire, _ = reading(source)
        client = KalshiTape(wire)
        found = list(client.slices(since=after(since), until=after(until), least_usd=least_usd))
        client.close()
        return found

    return slices


def seconds_of(*found):
    return [(row.traded_at - NOON).total_seconds() for one in found for row in one.rows]


def test_slices_follow_each_other_and_each_trade_is_in_one(read):
    times = [place * 7.5 + 0.000_001 for place in range(80)]
    found = read(Tape(times, most=3), since=0, until=600)
    assert seconds_of(*found) == times
    assert found[-1].until == after(600) and [one.until for one in found] == sorted({one.until for one in found})
    for earlier, later in pairwise(found):
        assert all(row.traded_at > earlier.until for row in later.rows)


def test_trades_at_the_very_edges_are_never_lost(read):
    first = FIRST_SPAN.total_seconds() - OVERLAP.total_seconds()
    edges = [0, first - 0.000_001, first, first + 0.000_001, 300]
    found = read(Tape(edges), since=0, until=300)
    assert seconds_of(*found) == edges
    assert first in seconds_of(found[0]) and first not in seconds_of(*found[1:])


def test_what_came_late_is_read_again(read):
    late = -OVERLAP.total_seconds()
    assert seconds_of(*read(Tape([late - 0.1, late + 0.1, -1, 5]), since=0, until=60)) == [late + 0.1, -1, 5]


def test_trades_after_the_end_are_left_for_the_next_time(read):
    source = Tape([59.5, 60, 60.000_001, 61])
    assert seconds_of(*read(source, since=0, until=60)) == [59.5, 60]
    assert seconds_of(*read(source, since=60, until=120))[-2:] == [60.000_001, 61]


def test_fills_of_one_time_are_ordered_by_their_ids(read):
    (found,) = read(Tape([5, 5, 5, 3], most=2), since=0, until=40)
    assert [row.key[-1] for row in found.rows] == ["3", "0", "1", "2"]


def test_a_quiet_time_is_read_in_longer_slices(read):
    source = Tape([])
    found = read(source, since=0, until=24 * 3600)
    assert len(source.asked) == len(found) < 40
    longest = max(later.until - earlier.until for earlier, later in pairwise(found))
    assert longest == LONGEST and found[-1].until == after(24 * 3600)


def test_a_busy_time_is_read_in_shorter_slices(read, monkeypatch):
    monkeypatch.setattr(trades, "MAX_PAGES", 4)
    times = [place / 5 for place in range(1, 300)]
    found = read(Tape(times, most=20), since=0, until=60)
    assert seconds_of(*found) == times and len(found) > 5 and not any(one.missed for one in found)


def test_a_second_with_more_than_can_be_read_says_so(read, monkeypatch):
    monkeypatch.setattr(trades, "MAX_PAGES", 2)
    found = read(Tape([30] * 50, most=10), since=20, until=40)
    missing = [one for one in found if one.missed]
    assert missing and all(abs(one.until - after(30)) < timedelta(seconds=4) for one in missing)
    assert "2026-10-01 12:00:3" in missing[-1].missed and 0 < len(seconds_of(*found)) < 50
    assert found[-1].until == after(40), "and goes on"


def test_only_large_trades_are_given(read):
    source = Tape([1, 2, 3])
    source.broken = {0: {"count_fp": "1111.11"}, 1: {"count_fp": "1111.12"}}
    (found,) = read(source, since=0, until=30)
    assert [row.usd for row in found.rows] == [Decimal("1000.008"), Decimal("3600")]


def test_bad_trades_are_rejected_by_themselves(read):
    source = Tape([1, 2])
    source.broken = {1: {"taker_side": "", "taker_outcome_side": None}}
    (found,) = read(source, since=0, until=30)
    assert len(found.rows) == 1 and found.rejected[0].external_id == trade_entry(1)["trade_id"]


def test_a_slice_is_whole_or_not_given(reading):
    source = Tape([place * 30 for place in range(1, 10)], most=1)

    def breaks(path):
        return Reply({}, status=500) if len(source.asked) >= 6 else source(path)

    wire, _ = reading(breaks)
    slices = KalshiTape(wire).slices(since=NOON, until=after(300), least_usd=LEAST)
    given = [next(slices), next(slices)]
    with pytest.raises(Unreachable):
        next(slices)
    assert given and seconds_of(*given) == [at for at in range(30, 300, 30) if after(at) <= given[-1].until]


def test_a_page_of_another_shape(reading):
    wire, _ = reading(Reply({"trades": {}}))
    with pytest.raises(BadAnswer, match="GET /markets/trades"):
        list(KalshiTape(wire).slices(since=NOON, until=after(60), least_usd=LEAST))
