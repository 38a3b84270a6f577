"""The seam to the network, against a real HTTP server that behaves badly."""

import gzip
import logging
import socket
import time
from datetime import UTC, datetime

import pytest

from markets.exceptions import BadAnswer, ExchangeError, RateLimited, Refused, Unreachable
from markets.exchanges.pacing import Pacer
from markets.exchanges.wire import MAX_BYTES, Request, Wire, retry_after
from tests.markets.scripted import Reply, scripted

KEY = "k3y-of-ours"
MARKET = Request(path="/market", params={"page": 1})


def test_an_answer_is_given_whole(reading):
    wire, server = reading(Reply({"errno": 0}))
    assert wire.get(MARKET).body == b'{"errno": 0}'
    assert server.asked[0][0] == "/openapi/market?page=1" and wire.requests == 1


def test_a_large_compressed_answer_is_given_whole(reading):
    body = b"".join(b"%d," % number for number in range(300_000))
    wire, _ = reading(Reply(gzip.compress(body), headers={"Content-Encoding": "gzip"}))
    assert wire.get(MARKET).body == body


def test_no_key_means_no_header(reading):
    wire, server = reading(Reply())
    wire.get(MARKET)
    assert "apikey" not in server.asked[0][1]


def test_the_key_goes_to_its_own_host_alone(reading):
    wire, server = reading(Reply(), key=KEY)
    wire.get(MARKET)
    assert server.asked[0][1]["apikey"] == KEY
    for path in ("//elsewhere/market", "https://elsewhere/market", "market"):
        with pytest.raises(ValueError):
            wire.get(Request(path=path))


def test_redirects_are_not_followed(reading):
    with scripted(Reply()) as elsewhere:
        wire, _ = reading(Reply(status=302, headers={"Location": elsewhere.url}), key=KEY)
        with pytest.raises(BadAnswer, match="302"):
            wire.get(MARKET)
        assert elsewhere.asked == []


def test_proxies_and_netrc_of_the_environment_are_not_used(reading, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something")
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted(Reply()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        wire, server = reading(Reply())
        wire.get(MARKET)
        assert proxy.asked == [] and "authorization" not in server.asked[0][1]


def test_cookies_are_not_kept(reading):
    wire, server = reading(Reply(headers={"Set-Cookie": "track=1"}))
    wire.get(MARKET)
    wire.get(MARKET)
    assert "cookie" not in server.asked[1][1]


@pytest.mark.parametrize("reply", [Reply(KEY.encode(), status=401), Reply(KEY.encode(), status=500)])
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


def test_a_body_that_is_too_large(reading):
    wire, _ = reading(Reply(b" " * (MAX_BYTES + 1)))
    with pytest.raises(BadAnswer, match="over 8 MiB"):
        wire.get(MARKET)


def test_a_body_that_is_too_large_once_decompressed(reading):
    bomb = gzip.compress(b" " * (MAX_BYTES * 20))
    assert len(bomb) < MAX_BYTES / 20
    wire, _ = reading(Reply(bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(BadAnswer, match="over 8 MiB"):
        wire.get(MARKET)


def test_a_body_that_never_ends_meets_the_total_time(reading):
    def drip(gone):
        while not gone.wait(0.01):
            yield b" "

    wire, server = reading(Reply(pieces=drip), total_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"0\.3 s"):
        wire.get(MARKET)
    assert time.monotonic() - started < 2
    assert server.gone.wait(5), "the connection is closed, not kept"


def test_an_answer_that_does_not_come_meets_the_total_time(reading):
    def silence(gone):
        gone.wait(1)
        yield b""

    wire, _ = reading(Reply(pieces=silence), total_seconds=0.2)
    with pytest.raises(Unreachable):
        wire.get(MARKET)


def test_too_many_requests_are_waited_for(reading):
    wire, server = reading(Reply(status=429, headers={"Retry-After": "7"}), Reply(status=429), Reply(b"done"))
    assert wire.get(MARKET).body == b"done"
    assert wire.slept == [7.0, 1.0] and wire.requests == len(server.asked) == 3


def test_too_many_requests_for_ever(reading):
    wire, _ = reading(Reply(b"slow down", status=429, headers={"Retry-After": "5"}))
    with pytest.raises(RateLimited) as caught:
        wire.get(MARKET)
    assert caught.value.retry_after == 5 and caught.value.said == "slow down"
    assert wire.slept == [5.0, 5.0, 5.0] and wire.requests == 4


NOW = datetime(2026, 11, 21, 7, 28, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "86400"}, 60),
        ({"Retry-After": "9" * 500}, 60),
        ({"Retry-After": "Sat, 21 Nov 2026 07:28:30 GMT"}, 30),
        ({"Retry-After": "Sat, 21 Nov 2026 07:27:30 GMT"}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 09:28:30 GMT"}, 60),
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


def test_turns_are_evenly_spaced():
    pacer, moment, slept = Pacer(5), 100.0, []
    for _ in range(4):
        pacer.wait(sleep=slept.append, now=lambda: moment)
    assert slept == pytest.approx([0.204, 0.408, 0.612])


def test_time_that_passed_is_not_saved_up():
    pacer, slept = Pacer(5), []
    for moment in (100.0, 200.0, 200.0):
        pacer.wait(sleep=slept.append, now=lambda moment=moment: moment)
    assert slept == pytest.approx([0.204])


def test_a_rate_of_zero_waits_for_nothing(reading):
    wire, _ = reading(Reply(), rate=0)
    for _ in range(3):
        wire.get(MARKET)
    assert wire.slept == []


def test_all_wires_to_a_host_share_its_turns(reading):
    first, server = reading(Reply(), rate=5)
    second = Wire(server.url, rate=5, sleep=first.slept.append)
    first.get(MARKET)
    second.get(MARKET)
    second.close()
    assert len(first.slept) == 1 and 0 < first.slept[0] <= 0.204
