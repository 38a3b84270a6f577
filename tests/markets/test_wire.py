"""The seam to the network, against a real HTTP server that behaves badly."""

import gzip
import logging
import socket
import threading
import time
import tracemalloc
from datetime import UTC, datetime

import pytest

from markets.exceptions import BadAnswer, ExchangeError, RateLimited, Refused, Unreachable
from markets.exchanges.connections import MAX_BYTES, retry_after
from markets.exchanges.wire import Request, Wire
from scheduling import FixedWindow, TokenBucket, limits
from tests.markets.scripted import Reply, scripted

KEY = "k3y-of-ours"
MARKET = Request(path="/market", params={"page": 1})
PAGES = [Request(path="/market", params={"page": page}) for page in range(1, 13)]


def ours() -> list[str]:
    """The wire's threads that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("wire")]


# What is asked, and of whom


def test_an_answer_is_given_whole(reading):
    wire, server = reading(Reply({"errno": 0}))
    assert wire.get(MARKET).payload == {"errno": 0}
    assert server.asked[0][0] == "/openapi/market?page=1" and wire.requests == 1


def test_a_list_stands_for_its_parameter_several_times(reading):
    wire, server = reading(Reply([]))
    wire.get(Request(path="/markets", params={"id": ["1", "2"], "q": "a&b"}))
    assert server.asked[0][0] == "/openapi/markets?id=1&id=2&q=a%26b"


def test_a_large_compressed_answer_is_given_whole(reading):
    wire, _ = reading(
        Reply(gzip.compress(b"[%s]" % (b"1" * 300 + b",2" * 300_000)), headers={"Content-Encoding": "gzip"})
    )
    assert len(wire.get(MARKET).payload) == 300_001


def test_no_key_means_no_header(reading):
    wire, server = reading(Reply({}))
    wire.get(MARKET)
    assert "apikey" not in server.asked[0][1]


def test_the_key_goes_to_its_own_host_alone(reading):
    wire, server = reading(Reply({}), key=KEY)
    wire.get(MARKET)
    assert server.asked[0][1]["apikey"] == KEY
    for path in ("//elsewhere/market", "https://elsewhere/market", "market"):
        with pytest.raises(ValueError):
            wire.get(Request(path=path))


@pytest.mark.parametrize("where", ["{elsewhere}/market", "//127.0.0.1:{port}/market", "{elsewhere}", "/openapi/other"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed_to_another_port_nor_to_the_same(reading, where, status):
    with scripted(Reply({})) as elsewhere:
        location = where.format(elsewhere=elsewhere.url, port=elsewhere.server_port)
        wire, server = reading(Reply(status=status, headers={"Location": location}), key=KEY)
        with pytest.raises(BadAnswer, match=str(status)):
            wire.get(MARKET)
        assert elsewhere.asked == [] and len(server.asked) == 1


@pytest.mark.parametrize("header", ["Refresh", "Alt-Svc", "Content-Location", "Link", "Location"])
def test_no_header_of_an_answer_leads_elsewhere(reading, header):
    with scripted(Reply({})) as elsewhere:
        values = {"Refresh": f"0; url={elsewhere.url}", "Alt-Svc": f'h2="127.0.0.1:{elsewhere.server_port}"'}
        wire, server = reading(Reply({}, headers={header: values.get(header, elsewhere.url)}), key=KEY)
        wire.get(MARKET)
        wire.get(MARKET)
        assert elsewhere.asked == [] and len(server.asked) == 2


def test_proxies_and_netrc_of_the_environment_are_not_used(reading, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something")
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted(Reply({})) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        wire, server = reading(Reply({}))
        wire.get(MARKET)
        assert proxy.asked == [] and "authorization" not in server.asked[0][1]


def test_cookies_are_not_kept(reading):
    wire, server = reading(Reply({}, headers={"Set-Cookie": "track=1"}))
    wire.get(MARKET)
    wire.get(MARKET)
    assert "cookie" not in server.asked[1][1]


@pytest.mark.parametrize("root", ["", "exchange.example", "ftp://exchange.example", "https://"])
def test_a_root_that_is_no_address_is_refused(root):
    with pytest.raises(ValueError, match="https://"):
        Wire(root)


# The key is nowhere


@pytest.mark.parametrize(
    "reply", [Reply(KEY.encode(), status=401), Reply(KEY.encode(), status=500), Reply(KEY.encode())]
)
def test_the_key_is_in_no_error_and_no_log(reading, reply, caplog):
    caplog.set_level(logging.DEBUG)
    wire, _ = reading(reply, key=KEY)
    with pytest.raises(ExchangeError) as caught:
        wire.get(MARKET)
    error = caught.value
    shown = f"{error!r} {error} {error.said} {error.for_operators()} {wire!r} {caplog.text}"
    assert KEY not in shown and "[secret]" in shown


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it():
    with pytest.raises(ValueError) as caught:
        Wire("http://127.0.0.1", key="bad\nkey")
    assert "bad" not in str(caught.value)


# What is no answer


@pytest.mark.parametrize(("status", "kind"), [(400, Refused), (401, Refused), (404, Refused), (500, Unreachable)])
def test_http_errors(reading, status, kind):
    wire, server = reading(Reply(b"<html>what went wrong</html>", status=status))
    with pytest.raises(kind) as caught:
        wire.get(MARKET)
    assert "/market" in str(caught.value) and str(status) in str(caught.value)
    assert "went wrong" not in str(caught.value) and "went wrong" in caught.value.said
    assert len(server.asked) == 1, "statuses are not tried again"


def test_nobody_listens():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        wire = Wire(f"http://127.0.0.1:{bound.getsockname()[1]}/openapi")
        with pytest.raises(Unreachable, match="ConnectionRefusedError"):
            wire.get(MARKET)


def test_a_host_that_has_no_address():
    with pytest.raises(Unreachable, match="name of its host cannot be resolved"):
        Wire("http://exchange.invalid/openapi").get(MARKET)


def test_a_server_that_does_not_speak_tls(reading):
    _, server = reading(Reply({}))
    with pytest.raises(Unreachable, match="TLS"):
        Wire(server.url.replace("http:", "https:")).get(MARKET)


def test_a_certificate_that_nobody_vouches_for(reading, self_signed):
    _wire, server = reading(Reply({}), key=KEY)
    server.socket = self_signed.wrap_socket(server.socket, server_side=True)
    with pytest.raises(Unreachable, match="TLS: SSLCertVerificationError"):
        Wire(server.url.replace("http:", "https:"), key=KEY).get(MARKET)
    assert server.asked == [], "the key was not sent"


def raw(*pieces):
    return Reply(raw=lambda gone: iter(pieces))


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",)])
def test_a_connection_that_is_reset(reading, pieces):
    wire, _ = reading(Reply(raw=lambda gone: iter(pieces), reset=True))
    with pytest.raises((Unreachable, BadAnswer), match=r"no answer|broke off"):
        wire.get(MARKET)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [HEAD, *(b"X-%d: y\r\n" % number for number in range(10_000)), b"\r\n{}"],
        [HEAD, b"X: ", *[b"y" * 1000] * 1000, b"\r\n\r\n{}"],
        [b"HTTP/1.1 " + b"2" * 100_000],
        [b"HTTP/1.1 abc OK\r\n\r\n"],
    ],
    ids=["another protocol", "many headers", "a long header", "a long status", "no status"],
)
def test_what_is_not_http_as_we_know_it(reading, pieces):
    wire, _ = reading(raw(*pieces))
    with pytest.raises((BadAnswer, Unreachable), match=r"not HTTP|no answer"):
        wire.get(MARKET)


def test_a_length_that_is_none(reading):
    wire, _ = reading(raw(HEAD, b"Content-Length: many\r\n\r\n", b"{"))
    with pytest.raises(BadAnswer):
        wire.get(MARKET)


def test_chunks_that_are_none(reading):
    wire, _ = reading(raw(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n0\r\n\r\n"))
    with pytest.raises(BadAnswer, match="broke off"):
        wire.get(MARKET)


def test_a_body_that_is_cut(reading):
    wire, _ = reading(Reply(b'{"errno"', length=500))
    with pytest.raises(BadAnswer, match="broke off"):
        wire.get(MARKET)


def test_a_compressed_body_that_is_cut(reading):
    cut = gzip.compress(b"x" * 100_000)[:60]
    wire, _ = reading(Reply(cut, headers={"Content-Encoding": "gzip"}, length=900))
    with pytest.raises(BadAnswer, match="broke off"):
        wire.get(MARKET)


def test_a_body_that_is_not_what_its_encoding_says(reading):
    wire, _ = reading(Reply(b"plain text", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(BadAnswer, match="broke off"):
        wire.get(MARKET)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", "text/plain\x1b[31m"])
def test_a_body_that_is_not_json_says_what_it_was_called(reading, kind):
    wire, _ = reading(Reply(b"<html>Back soon</html>", headers={"Content-Type": kind}))
    with pytest.raises(BadAnswer, match="is not JSON") as caught:
        wire.get(MARKET)
    assert kind.partition("\x1b")[0] in str(caught.value) and "\x1b" not in str(caught.value)
    assert caught.value.said == "<html>Back soon</html>"


@pytest.mark.parametrize("kind", ["text/html", "application/xhtml+xml", "Text/HTML; charset=utf-8"])
def test_an_answer_that_is_called_a_page_is_none(reading, kind):
    wire, _ = reading(Reply({}, headers={"Content-Type": kind}))
    with pytest.raises(BadAnswer, match="it is called a page"):
        wire.get(MARKET)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/problem+json", ""])
def test_json_goes_by_many_names(reading, kind):
    wire, _ = reading(Reply({"errno": 0}, headers={"Content-Type": kind}))
    assert wire.get(MARKET).payload == {"errno": 0}


def test_a_body_that_is_nested_without_end(reading):
    wire, _ = reading(Reply(b"[" * 100_000))
    with pytest.raises(BadAnswer, match="nested too deep"):
        wire.get(MARKET)


def test_a_body_that_is_too_large(reading):
    wire, _ = reading(Reply(b" " * (MAX_BYTES + 1)))
    with pytest.raises(BadAnswer, match="over 8 MiB"):
        wire.get(MARKET)


def test_a_body_that_is_too_large_once_decompressed_does_not_fill_the_memory(reading):
    bomb = gzip.compress(b" " * (MAX_BYTES * 6))
    assert len(bomb) < MAX_BYTES / 20
    wire, _ = reading(Reply(bomb, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(BadAnswer, match="over 8 MiB"):
            wire.get(MARKET)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()


# Time


def drip(head: bytes, piece: bytes):
    def pieces(gone):
        yield head
        while not gone.wait(0.01):
            yield piece

    return Reply(raw=pieces)


@pytest.mark.parametrize(
    "reply",
    [
        drip(HEAD + b"\r\n", b" "),
        drip(HEAD, b"X"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n"),
        Reply(raw=lambda gone: iter([b""] if gone.wait(5) else [])),
    ],
    ids=["body", "header", "interim answers", "chunks", "trailers", "nothing"],
)
def test_what_never_ends_meets_the_total_time_and_leaves_no_thread(reading, reply):
    wire, server = reading(reply, total_seconds=0.3)
    started = time.monotonic()
    with pytest.raises((Unreachable, BadAnswer), match=r"0\.3 s|no answer"):
        wire.get(MARKET)
    assert time.monotonic() - started < 2
    assert ours() == []
    server.gone.set()


def test_a_connection_that_was_broken_off_is_not_used_again(reading):
    wire, server = reading(drip(HEAD + b"\r\n", b" "), Reply({}), total_seconds=0.3)
    with pytest.raises(Unreachable):
        wire.get(MARKET)
    assert server.gone.wait(5), "it was closed"
    assert wire.get(MARKET).payload == {}


# Several at once


def page_of(path: str) -> int:
    return int(path.rpartition("=")[2])


def echo(path: str) -> Reply:
    return Reply({"page": page_of(path)})


def but(page: int, other: Reply):
    """Answers with the page that is asked for, and for this one otherwise."""
    return lambda path: other if page_of(path) == page else echo(path)


def test_answers_come_in_the_order_of_the_requests(reading):
    wire, _ = reading(echo)
    assert [answer.payload["page"] for answer in wire.get_all(PAGES)] == list(range(1, 13))
    assert wire.requests == 12 and ours() == []


def test_a_late_answer_holds_those_after_it_back_but_not_their_requests(reading):
    late = threading.Event()
    wire, server = reading(but(1, Reply({"page": 1}, until=late)))
    answers = wire.get_all(PAGES, ahead=4)
    threading.Timer(0.3, late.set).start()
    assert next(answers).payload == {"page": 1} and len(server.asked) == 4
    assert [answer.payload["page"] for answer in answers] == list(range(2, 13))


def test_no_more_than_ahead_are_under_way(reading):
    wire, server = reading(Reply({}))
    for _ in wire.get_all(PAGES, ahead=3):
        assert server.most_under_way <= 3


def test_requests_are_taken_as_there_is_room_for_them(reading):
    taken = []
    wire, _ = reading(Reply({}))
    answers = wire.get_all((taken.append(page) or page for page in PAGES), ahead=2)
    next(answers)
    assert len(taken) <= 3
    answers.close()


def test_the_first_error_ends_it_and_breaks_off_the_others(reading):
    never = threading.Event()
    wire, _ = reading(lambda path: Reply(status=500) if page_of(path) == 2 else but(4, Reply({}, until=never))(path))
    answers = wire.get_all(PAGES)
    started = time.monotonic()
    with pytest.raises(Unreachable, match="500"):
        list(answers)
    assert time.monotonic() - started < 2 and ours() == []
    never.set()


def test_who_stops_early_leaves_no_thread(reading):
    never = threading.Event()
    wire, _ = reading(but(3, Reply({}, until=never)))
    answers = wire.get_all(PAGES)
    next(answers)
    started = time.monotonic()
    answers.close()
    assert time.monotonic() - started < 2 and ours() == []
    never.set()


def test_an_exception_in_the_waiting_thread_leaves_no_thread(reading):
    never = threading.Event()
    wire, _ = reading(Reply({}, until=never))

    class Cancel(KeyboardInterrupt):
        """As a job's cancellation is."""

    def interrupted(page):
        raise Cancel

    with pytest.raises(Cancel):
        list(wire.get_all(page if number < 2 else interrupted(page) for number, page in enumerate(PAGES)))
    assert ours() == []
    never.set()


def test_connections_are_kept_for_the_next_requests(reading):
    wire, _server = reading(Reply({}))
    list(wire.get_all(PAGES, ahead=4))
    list(wire.get_all(PAGES, ahead=4))
    assert len(wire._connections._open) <= 4


# 429


def test_too_many_requests_are_waited_for(reading):
    wire, server = reading(Reply(status=429, headers={"Retry-After": "3"}), Reply(status=429), Reply({"done": 1}))
    assert wire.get(MARKET).payload == {"done": 1}
    assert wire.slept == pytest.approx([3.0, 1.0], abs=0.5) and wire.requests == len(server.asked) == 3


def test_too_many_requests_for_ever(reading):
    wire, _ = reading(Reply(b"slow down", status=429, headers={"Retry-After": "5"}))
    with pytest.raises(RateLimited) as caught:
        wire.get(MARKET)
    assert caught.value.retry_after == pytest.approx(5, abs=0.5) and caught.value.said == "slow down"
    assert len(wire.slept) == 3 and wire.requests == 4


def test_a_long_wait_is_not_slept_here(reading):
    wire, _ = reading(Reply(status=429, headers={"Retry-After": "40"}))
    with pytest.raises(RateLimited) as caught:
        wire.get(MARKET)
    assert caught.value.retry_after == pytest.approx(40, abs=0.5)
    assert wire.slept == [] and wire.requests == 1


def test_of_several_answered_with_429_each_is_sent_again_and_waits_once(reading):
    limited = [Reply(status=429, headers={"Retry-After": "0"})] * 4
    wire, server = reading(*limited, echo)
    assert [answer.payload["page"] for answer in wire.get_all(PAGES, ahead=4)] == list(range(1, 13))
    assert len(server.asked) == 16


NOW = datetime(2026, 11, 21, 7, 28, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "86400"}, 3600),
        ({"Retry-After": "9" * 500}, 3600),
        ({"Retry-After": "Sat, 21 Nov 2026 07:28:30 GMT"}, 30),
        ({"Retry-After": "Sat, 21 Nov 2026 07:27:30 GMT"}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 09:28:30 GMT"}, 3600),
        ({"Retry-After": "Sat, 21 Nov 2026 03:00:05 GMT", "Date": "Sat, 21 Nov 2026 03:00:00 GMT"}, 5),
        ({"Retry-After": "-3"}, 1),
        ({"Retry-After": "soon"}, 1),
        ({"Retry-After": "1e9"}, 1),
        ({"Retry-After": "²"}, 1),
        ({"Retry-After": ""}, 1),
        ({}, 1),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, now=NOW) == seconds


# Tokens


@pytest.mark.django_db(transaction=True)
def test_each_request_takes_a_token_of_each_limit(reading):
    limits.define("one", TokenBucket(rate=1, period=1000, capacity=10))
    limits.define("two", TokenBucket(rate=1, period=1000, capacity=5))
    wire, _ = reading(Reply(status=429, headers={"Retry-After": "0"}), Reply({}), limits=("one", "two"))
    list(wire.get_all(PAGES[:3]))
    assert wire.requests == 4
    assert (limits.value("one"), limits.value("two")) == (pytest.approx(6, abs=0.1), pytest.approx(1, abs=0.1))


@pytest.mark.django_db(transaction=True)
def test_turns_are_spaced_by_the_limit_for_all_wires_together(reading):
    limits.define("spaced", TokenBucket(rate=5, period=1, capacity=1, max_reserved=20))
    first, server = reading(Reply({}), limits=["spaced"])
    second = Wire(server.url, limits=["spaced"], sleep=first.slept.append)
    for wire in (first, second, first):
        wire.get(MARKET)
    second.close()
    assert first.slept == pytest.approx([0.2, 0.4], abs=0.15)


@pytest.mark.django_db(transaction=True)
def test_who_would_wait_long_for_a_token_is_told_when_to_come_back(reading):
    limits.define("rare", TokenBucket(rate=1, period=60, capacity=1))
    wire, server = reading(Reply({}), limits=["rare"])
    wire.get(MARKET)
    with pytest.raises(RateLimited, match="no token of rare") as caught:
        wire.get(MARKET)
    assert caught.value.retry_after == pytest.approx(60, abs=2)
    assert wire.slept == [] and len(server.asked) == 1


@pytest.mark.django_db(transaction=True)
def test_a_window_that_is_used_up_is_not_overdrawn(reading):
    limits.define("window", FixedWindow(rate=2, period=3600, start=0, max_reserved=0))
    wire, _server = reading(Reply({}), limits=["window"])
    with pytest.raises(RateLimited):
        list(wire.get_all(PAGES))
    assert wire.requests == 2 and ours() == []
