"""Shared by the tests of markets."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from markets.exchanges.wire import Wire
from markets.simulator import RunningExchange, running
from tests.markets.scripted import Reply, Scripted, scripted


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """TLS for a server on 127.0.0.1 that nobody vouches for."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def reading() -> Iterator[Callable[..., tuple[Wire, Scripted]]]:
    """`reading(reply, …, key=…)`: a wire to a server with these replies; sleeps are kept in `wire.slept`."""
    with ExitStack() as stack:

        def read(*replies: Reply, **options: Any) -> tuple[Wire, Scripted]:
            server = stack.enter_context(scripted(*replies))
            slept: list[float] = []
            wire = stack.enter_context(closing(Wire(server.url, **{"sleep": slept.append} | options)))
            wire.slept = slept
            return wire, server

        yield read


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """`eventually(look)`: what `look` gives as soon as it is true, within 20 s."""

    def wait(look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 20
        while not (found := look()):
            assert time.monotonic() < deadline, "it did not happen within 20 s"
            time.sleep(0.02)
        return found

    return wait


@pytest.fixture
def following(settings: Any) -> Iterator[Callable[..., RunningExchange]]:
    """`following(topics=60, …)`: a simulated exchange that stands still, and the settings that point to it."""
    with ExitStack() as stack:

        def follow(**options: Any) -> RunningExchange:
            defaults = {"seed": 1, "topics": 60, "frozen": True, "rate": 0}
            exchange = stack.enter_context(running(**defaults | options))
            settings.OPINION_API_URL, settings.OPINION_API_KEY = exchange.url, ""
            settings.OPINION_RATE = 0
            return exchange

        yield follow
