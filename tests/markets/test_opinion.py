"""Opinion's catalogue over HTTP: the walk, single records, and answers that are none."""

import pytest

from markets.exceptions import BadAnswer, RateLimited, Refused, Unreachable
from markets.exchanges.opinion.client import OpinionClient
from markets.exchanges.wire import Wire
from tests.markets.rows import binary_entry, envelope, topic_entry
from tests.markets.scripted import Reply


def keys(pages):
    return [row.key for page in pages for row in page.rows]


@pytest.fixture
def client(following):
    opened = []

    def to(**options):
        exchange = following(**options)
        opened.append(OpinionClient())
        return exchange, opened[-1]

    yield to
    for one in opened:
        one.close()


def test_the_walk_meets_every_topic_of_both_types_and_their_children(client):
    exchange, opinion = client(topics=60)
    found = keys(opinion.pages())
    topics = exchange.world.activated(exchange.now)
    wanted = {("categorical" if topic.categorical else "binary", str(topic.number)) for topic in topics}
    assert wanted <= set(found) and len(found) == len(set(found)) > 60
    assert {kind for kind, _ in found} == {"binary", "categorical"}
    assert exchange.requests == 3, "60 topics, 20 a page"


def test_topics_that_come_in_meanwhile_are_met_once_and_push_nothing_out(client):
    exchange, opinion = client(topics=200)
    before = {(topic.categorical, topic.number) for topic in exchange.world.activated(exchange.now)}
    found = []
    for page in opinion.pages():
        found += keys([page])
        exchange.step(3600)
    assert len(found) == len(set(found))
    after = {(topic.categorical, topic.number) for topic in exchange.world.activated(exchange.now)}
    stayed = {("categorical" if many else "binary", str(number)) for many, number in before & after}
    assert len(stayed - set(found)) <= len(before - after), "each that ended can hide one that moved up"


def listed(*numbers, total):
    return Reply(envelope(*(binary_entry(number) for number in numbers), total=total))


def walk(reading, *replies):
    wire, server = reading(*replies)
    return keys(OpinionClient(wire).pages()), [path for path, _ in server.asked]


def test_rows_that_move_to_the_next_page_are_met_once(reading):
    first, second = range(20, 0, -1), [1, 0 + 100, 101]
    found, _ = walk(reading, listed(*first, total=22), listed(*second, total=23))
    assert len(found) == len(set(found)) == 22


def test_the_walk_ends_where_the_total_is_reached(reading):
    found, asked = walk(reading, listed(*range(1, 21), total=20))
    assert len(found) == 20 and len(asked) == 1


def test_the_walk_ends_at_an_empty_page(reading):
    empty = Reply({"errno": 0, "errmsg": "", "result": {"list": None, "total": 0}})
    found, asked = walk(reading, listed(1, 2, total=300), empty)
    assert len(found) == 2 and len(asked) <= 6


def test_the_walk_ends_at_a_short_page_where_there_is_no_total(reading):
    page = envelope(binary_entry(1))
    del page["result"]["total"]
    found, asked = walk(reading, Reply(page))
    assert len(found) == 1 and len(asked) == 1


def test_an_exchange_that_repeats_itself_does_not_hold_the_walk(reading):
    found, asked = walk(reading, listed(*range(1, 21), total=10_000))
    assert len(found) == 20 and len(asked) <= 14


def test_what_is_asked_for(reading):
    _, asked = walk(reading, listed(1, total=1))
    assert asked == ["/openapi/market?page=1&limit=20&status=activated&marketType=2&sortBy=1"]


def test_a_topic_again_with_children_that_have_ended(client):
    exchange, opinion = client(topics=60)
    topic = next(topic for topic in exchange.world.activated(exchange.now) if topic.categorical)
    parent, *children = opinion.market("categorical", str(topic.number)).rows
    assert parent.status == "open" and len(children) == len(topic.markets)
    exchange.step(topic.closes_at - exchange.now + 30 * 86_400)
    assert {row.status for row in opinion.market("categorical", str(topic.number)).rows} == {"resolved"}


def test_a_market_that_is_gone_is_none(client):
    _, opinion = client()
    assert opinion.market("binary", "999999999") is None
    with pytest.raises(ValueError):
        opinion.market("binary", "../auth")


@pytest.mark.parametrize(
    ("fault", "options", "error"),
    [
        ("errno", {"errno": 10001}, Refused),
        ("http_error", {"status": 503}, Unreachable),
        ("http_error", {"status": 403}, Refused),
        ("not_json", {}, BadAnswer),
        ("wrong_types", {}, BadAnswer),
        ("cut", {}, BadAnswer),
        ("down", {}, Unreachable),
    ],
)
def test_answers_that_are_none(client, fault, options, error):
    exchange, opinion = client()
    exchange.fault(fault, **options)
    with pytest.raises(error, match="GET /market"):
        next(opinion.pages())
    exchange.clear()
    assert next(opinion.pages()).rows


def test_what_the_exchange_said_is_kept_apart(client):
    exchange, opinion = client()
    exchange.fault("errno", errno=10001)
    with pytest.raises(Refused) as caught:
        next(opinion.pages())
    assert caught.value.errno == 10001 and caught.value.said
    assert caught.value.said not in str(caught.value)
    assert caught.value.said in caught.value.for_operators()


def test_an_answer_that_comes_too_late(following):
    exchange = following()
    exchange.fault("slow", delay=2)
    opinion = OpinionClient(Wire(exchange.url, total_seconds=0.2))
    with pytest.raises(Unreachable, match=r"Timeout|not done"):
        next(opinion.pages())
    opinion.close()


def test_too_many_requests_are_waited_for(following):
    exchange, slept = following(), []
    opinion = OpinionClient(Wire(exchange.url, sleep=slept.append))
    exchange.fault("too_many", retry_after=4, requests=2)
    assert next(opinion.pages()).rows and slept == pytest.approx([4.0, 4.0], abs=0.5)
    exchange.fault("too_many", retry_after=9)
    with pytest.raises(RateLimited) as caught:
        next(opinion.pages())
    assert caught.value.retry_after == pytest.approx(9, abs=0.5) and len(slept) == 2
    opinion.close()


def test_a_key_that_the_exchange_knows(client, settings):
    exchange, _ = client(key="right")
    settings.OPINION_API_KEY = "right"
    opinion = OpinionClient()
    assert next(opinion.pages()).rows
    exchange.set_key("other")
    with pytest.raises(Refused) as caught:
        next(opinion.pages())
    assert caught.value.errno == 401 and "right" not in repr(opinion.wire)
    opinion.close()


@pytest.mark.django_db(transaction=True)
def test_the_pace_is_that_of_the_exchange(following, settings):
    exchange = following(topics=140, rate=5)
    settings.OPINION_RATE = None
    opinion = OpinionClient()
    assert len(list(opinion.pages())) == exchange.requests == 7, "none was refused for coming too soon"
    opinion.close()


def test_broken_rows_leave_the_others(client):
    exchange, opinion = client(topics=20)
    exchange.fault("broken_rows", rows=3, requests=1)
    (page,) = opinion.pages()
    assert page.length == 20 and len(page.rejected) == 3
    assert len([row for row in page.rows if row.parent is None]) == 17


def test_children_are_rejected_by_themselves(reading):
    wire, _ = reading(Reply(envelope(topic_entry(9, {"marketId": 5}), binary_entry(1))))
    (page,) = OpinionClient(wire).pages()
    assert [row.key for row in page.rows] == [("categorical", "9"), ("binary", "1")]
    assert [bad.external_id for bad in page.rejected] == ["5"]
