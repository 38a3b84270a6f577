"""Polymarket's trades over HTTP: one window of the newest, which fills up and moves while it is read."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from markets.exceptions import BadAnswer
from markets.exchanges.polymarket.trades import OVERLAP, PolymarketTape
from tests.markets.polymarket.rows import NOON, trade_entry
from tests.markets.scripted import Reply

LEAST = Decimal("1000")


def moment(seconds):
    return datetime.fromtimestamp(NOON + seconds, UTC)


class Feed:
    """Trades of these seconds before or after NOON, the newest first, and at most `most` of them a page."""

    def __init__(self, seconds, *, most=1_000, **changes):
        newest_first = sorted(enumerate(seconds), key=lambda trade: -trade[1])
        self.entries = [trade_entry(number, timestamp=NOON + at, **changes) for number, at in newest_first]
        self.most, self.asked = most, []
        self.between = lambda: None
        """Called after each page."""

    def __call__(self, path):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(asked)
        offset, limit = int(asked["offset"]), min(int(asked["limit"]), self.most)
        if offset > 10_000:
            return Reply({"error": "offset is too large"}, status=400)
        page = self.entries[offset : offset + limit]
        self.between()
        return Reply(page)


@pytest.fixture
def read(reading):
    def slice_of(feed, *, since, until, least_usd=LEAST):
        wire, _ = reading(feed)
        (found,) = PolymarketTape(wire).slices(since=moment(since), until=moment(until), least_usd=least_usd)
        assert found.until == moment(until)
        return found

    return slice_of


def seconds_of(found):
    return [int(row.traded_at.timestamp()) - NOON for row in found.rows]


def test_all_trades_of_a_time_come_oldest_first(read):
    feed = Feed([5, 3, 3, 59, 20])
    found = read(feed, since=0, until=60)
    assert seconds_of(found) == [3, 3, 5, 20, 59] and found.missed == "" and found.rejected == ()
    assert len({row.key for row in found.rows}) == 5


def test_what_is_asked_for(read):
    feed = Feed([])
    read(feed, since=0, until=60, least_usd=Decimal("1E+3"))
    assert feed.asked == [{"limit": "1000", "offset": "0", "filterType": "CASH", "filterAmount": "1000"}]


def test_trades_at_the_very_edges_are_there(read):
    found = read(Feed([0, 60, 61]), since=0.4, until=60.2)
    assert seconds_of(found) == [0, 60], "a trade bears the second in which it happened, not its part"


def test_trades_that_came_late_are_read_again_for_some_minutes(read):
    late = -int(OVERLAP.total_seconds())
    assert seconds_of(read(Feed([late - 1, late, -1, 30]), since=0, until=60)) == [late, -1, 30]


def test_the_feed_is_read_no_further_than_needed(read):
    feed = Feed(range(0, -5_000, -1))
    found = read(feed, since=-100, until=0)
    assert len(feed.asked) == 1 and len(found.rows) == 401 and found.missed == ""


def test_the_feed_is_read_to_its_end_where_it_is_short(read):
    feed = Feed(range(250), most=100)
    assert len(read(feed, since=-10_000, until=300).rows) == 250
    assert [int(asked["offset"]) for asked in feed.asked] == [0, 100, 200, 250]


def test_trades_that_push_others_to_the_next_page_hide_none_and_double_none(read):
    feed = Feed(range(-300, 0), most=100)

    def push():
        number = len(feed.entries)
        feed.entries[:0] = [trade_entry(number + place, timestamp=NOON + 1) for place in range(7)]

    feed.between = push
    found = read(feed, since=-300, until=60)
    assert set(range(-300, 0)) <= set(seconds_of(found))
    assert len(found.rows) == len({row.key for row in found.rows})


def test_a_window_that_is_full_too_early_says_what_is_missing(read):
    feed = Feed(range(0, -12_000, -1))
    found = read(feed, since=-11_500, until=0)
    assert [int(asked["offset"]) for asked in feed.asked] == list(range(0, 11_000, 1_000))
    assert len(found.rows) == 11_000 and found.rows[0].traded_at == moment(-10_999)
    assert f"{moment(-11_500):%Y-%m-%d %H:%M:%S}" in found.missed and f"{moment(-10_999):%H:%M:%S}" in found.missed


def test_a_window_that_ends_within_the_wanted_second_may_miss_a_part_of_it(read):
    seconds = range(0, -11_000, -1)
    assert read(Feed(seconds), since=-10_999 + 0.5, until=0).missed
    assert not read(Feed(seconds), since=-10_998, until=0).missed


def test_a_window_that_reaches_the_time_but_not_what_came_late_misses_nothing(read):
    assert read(Feed(range(0, -12_000, -1)), since=-10_900, until=0).missed == ""


def test_a_feed_that_repeats_itself_ends_and_says_so(read):
    feed = Feed(range(100))
    whole = feed.entries
    asked = []
    found = read(lambda path: asked.append(path) or Reply(whole), since=-1_000, until=200)
    assert len(found.rows) == 100 and found.missed and len(asked) == 3


def test_small_trades_are_left_out_where_the_exchange_does_not(read):
    feed = Feed([1, 2])
    feed.entries[0] |= {"size": 1999.99}
    assert len(read(feed, since=0, until=60).rows) == 1
    assert len(read(feed, since=0, until=60, least_usd=Decimal("999.995")).rows) == 2, "of that amount, too"


def test_several_fills_of_one_transaction_are_several_trades_and_the_same_one_twice_is_one(read):
    feed = Feed([1])
    feed.entries += [trade_entry(0, timestamp=NOON + 1, size=4000), trade_entry(0, timestamp=NOON + 1)]
    assert sorted(row.size for row in read(feed, since=0, until=60).rows) == [3000, 4000]


def test_bad_trades_are_rejected_by_themselves_while_they_are_news(read):
    feed = Feed([1, 2, -4_000])
    feed.entries[0] |= {"side": "HOLD"}
    feed.entries[2] |= {"side": "HOLD"}
    found = read(feed, since=0, until=60)
    assert seconds_of(found) == [1] and len(found.rejected) == 1, "an old one was told of long ago"
    assert re.match("side", found.rejected[0].reason) and found.rejected[0].external_id


def test_an_answer_that_is_no_list_gives_no_slice(reading):
    wire, _ = reading(Reply({"error": "max historical activity offset of 3000 exceeded"}))
    tape = PolymarketTape(wire)
    with pytest.raises(BadAnswer, match="GET /trades"):
        list(tape.slices(since=moment(0), until=moment(60), least_usd=LEAST))
    tape.close()
