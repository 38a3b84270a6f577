"""The one seam to the network: a typed request in, a typed answer out.

It knows HTTP and nothing of any exchange. A wire holds connections to the one host of its root and cannot open
others: redirects are not followed, and neither proxies nor .netrc are taken from the environment. So a key goes
to the host it belongs to and nowhere else.

Its threads do nothing but HTTP. Tokens of rate limits are taken, answers parsed and failures counted in the
caller's thread, to which the database connection belongs.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol
from urllib.parse import urlencode

from markets.exceptions import BadAnswer, ExchangeError, RateLimited, Refused, Unreachable
from markets.exchanges.cleaning import clean
from markets.exchanges.connections import Connections, Reply, retry_after
from markets.exchanges.decoding import decode
from markets.limits import in_force
from scheduling import limits as rate_limits

TOTAL_SECONDS = 30.0
PATIENCE = 5.0
"""Seconds that are slept in place. Who has to wait for longer is told when to come back."""
TRIES = 4
"""How often one request is sent where it is answered with 429, and how often a token is asked for."""
PAGE = re.compile("html|xml", re.IGNORECASE)
"""What no API's answer is called, whatever is in it. Other types are not looked at: JSON goes by many names."""
_SAID = 500


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to read: a path below the root, such as `/market`, and its parameters."""

    path: str
    params: Mapping[str, str | int | Sequence[str | int]] = field(default_factory=dict)
    """A list stands for its parameter several times."""

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or self.path.startswith("//"):
            raise ValueError(f"a path below the root starts with one slash, unlike {self.path!r}")

    def __str__(self) -> str:
        return f"GET {self.path}"

    @property
    def target(self) -> str:
        """The path with its query."""
        return f"{self.path}?{urlencode(self.params, doseq=True)}" if self.params else self.path


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a 200 held: its JSON, with exact numbers."""

    path: str
    payload: Any


class Breaker(Protocol):
    """Counts the failures of an exchange, and says whether it may be asked."""

    @property
    def alone(self) -> bool:
        """Whether no other request may be sent before the last one has been answered."""

    def wait(self) -> float:
        """The seconds until a request may be sent; raises an ExchangeError where none may."""

    def succeeded(self) -> None:
        """Told of each answer."""

    def failed(self, error: ExchangeError, *, hold: float = 0) -> None:
        """Told of each failure, and for how many seconds the exchange wants to be left alone."""


class Unwatched:
    """For a wire whose failures nobody counts."""

    alone = False

    def wait(self) -> float:
        return 0.0

    def succeeded(self) -> None: ...

    def failed(self, error: ExchangeError, *, hold: float = 0) -> None: ...


class Wire:
    """Reads JSON from one exchange, within its rate and within bounds of time, size and depth."""

    def __init__(
        self,
        root: str,
        *,
        key: str = "",
        key_header: str = "apikey",
        limits: Sequence[str] = (),
        total_seconds: float = TOTAL_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`limits`: the rate limits from which each request takes a token, in this order; `total_seconds` bounds
        each request, with its connection and its body.

        Raises ValueError for a root that is no address, or a key that no header can carry.
        """
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("the key holds characters that a header cannot carry")
        self.root = root.rstrip("/")
        self.requests = 0
        """How many requests were sent, those answered with 429 too."""
        self.secrets = (key,) if key else ()
        self.breaker: Breaker = Unwatched()
        self._limits, self._total_seconds, self._sleep = in_force(*limits), total_seconds, sleep
        self._connections = Connections(self.root, headers={key_header: key} if key else {}, seconds=total_seconds)

    def __repr__(self) -> str:
        return f"<Wire to {self._connections.host}>"

    def close(self) -> None:
        """Let the connections go."""
        self._connections.close()

    def get(self, request: Request) -> Answer:
        """Send the request and give back its answer. After a 429 it is sent again, up to three times.

        Not to be called inside a transaction, which would keep the tokens that it takes from others. Waits of up
        to 5 s, for a token or as a 429 asks, are slept. Raises RateLimited where they are longer, CircuitOpen,
        Unreachable, BadAnswer, or Refused for a 4xx.
        """
        (answer,) = self.get_all([request])
        return answer

    def get_all(self, requests: Iterable[Request], ahead: int = 4) -> Iterator[Answer]:
        """The answers, in the order of the requests, of which up to `ahead` are under way at once; as get().

        The first error ends it. Whatever ends it, what is still under way then is broken off.
        """
        flights: deque[_Flight] = deque()
        with ThreadPoolExecutor(ahead, thread_name_prefix="wire") as threads:
            try:
                for request in requests:
                    while len(flights) >= (1 if self.breaker.alone else ahead):
                        yield self._land(flights, threads)
                    flights.append(self._launch(request, threads))
                while flights:
                    yield self._land(flights, threads)
            finally:
                self._connections.cut([flight.reply for flight in flights])

    def _land(self, flights: deque[_Flight], threads: ThreadPoolExecutor) -> Answer:
        """The answer to the request that has been under way for longest, sent again where it came too soon."""
        for tries in count(1):
            try:
                answer = self._answer(flights[0])
            except RateLimited as error:
                if tries == TRIES or error.retry_after > PATIENCE:
                    raise
                self._sleep(error.retry_after)
                flights[0] = self._launch(flights[0].request, threads)
            else:
                flights.popleft()
                break
        return answer

    def _launch(self, request: Request, threads: ThreadPoolExecutor) -> _Flight:
        """Send a request from a thread, once its turn has come."""
        for name in self._limits:
            self._take_token(name, request)
        while (wait := self.breaker.wait()) > 0:
            self._be_patient(wait, f"{request}: the exchange has asked to be left alone for {wait:.0f} s")
        self.requests += 1
        reply = threads.submit(self._connections.get, request.target)
        return _Flight(request, reply, deadline=time.monotonic() + self._total_seconds)

    def _take_token(self, name: str, request: Request) -> None:
        """Take a token of a limit, maybe ahead of its time, and wait until it is there."""
        for _ in range(TRIES):
            taken = rate_limits.take(name, reserve=True)
            self._be_patient(taken.retry_after or 0.0, f"{request}: no token of {name} is left")
            if taken.ok:
                return
        raise RateLimited(f"{request}: no token of {name} is left", retry_after=PATIENCE)

    def _be_patient(self, wait: float, why: str) -> None:
        if wait > PATIENCE:
            raise RateLimited(why, retry_after=wait)
        if wait:
            self._sleep(wait)

    def _answer(self, flight: _Flight) -> Answer:
        """What came of a request. A failure is counted; whatever the exchange answers ends the count."""
        try:
            answer = self._read(flight)
        except RateLimited as error:
            self.breaker.failed(error, hold=error.retry_after)
            raise
        except (Unreachable, BadAnswer) as error:
            self.breaker.failed(error)
            raise
        except Refused:
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()
        return answer

    def _read(self, flight: _Flight) -> Answer:
        reply = flight.wait(self._total_seconds)
        if reply.status != 200:
            raise _refusal(flight.request, reply, self._said(reply))
        try:
            if PAGE.search(reply.headers.get("Content-Type", "")):
                raise ValueError("it is called a page")
            return Answer(path=flight.request.path, payload=decode(reply.body))
        except ValueError as error:
            kind = clean(reply.headers.get("Content-Type", "of no type"), most=60, secrets=self.secrets)
            said = self._said(reply)
            raise BadAnswer(f"{flight.request}: the answer ({kind}) is not JSON: {error}", said=said) from error

    def _said(self, reply: Reply) -> str:
        return clean(reply.body[: _SAID * 4].decode("utf-8", "replace"), most=_SAID, secrets=self.secrets)


@dataclass
class _Flight:
    """A request under way."""

    request: Request
    reply: Future[Reply]
    deadline: float

    def wait(self, total_seconds: float) -> Reply:
        """Its reply; Unreachable where it is not all there in time, whatever keeps coming."""
        try:
            return self.reply.result(timeout=max(self.deadline - time.monotonic(), 0))
        except TimeoutError as error:
            raise Unreachable(f"{self.request}: not done within {total_seconds:g} s") from error


def _refusal(request: Request, reply: Reply, said: str) -> ExchangeError:
    status = reply.status
    if status == 429:
        left = max(retry_after(reply.headers) - (time.monotonic() - reply.at), 0.0)
        return RateLimited(f"{request}: too many requests (429)", retry_after=left, said=said)
    if status >= 500:
        return Unreachable(f"{request}: the exchange answers {status}", said=said)
    if status >= 400:
        return Refused(f"{request}: refused with {status}", errno=status, said=said)
    return BadAnswer(f"{request}: {status} where 200 was expected; redirects are not followed", said=said)
