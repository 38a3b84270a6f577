"""The one seam to the network: a typed request in, a typed answer out.

It knows HTTP and nothing of any exchange. A key goes to the host it belongs to and nowhere else: paths are
relative to one root, redirects are not followed, and neither proxies nor .netrc are taken from the
environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import NoReturn
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, TimeoutError
from urllib3.util import Retry

from markets.exceptions import BadAnswer, ExchangeError, RateLimited, Refused, Unreachable
from markets.exchanges.cleaning import clean
from markets.exchanges.pacing import pacer

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 5.0, 10.0, 30.0
MAX_BYTES = 8 << 20
MAX_RETRY_AFTER, DEFAULT_RETRY_AFTER, MAX_LIMITED = 60.0, 1.0, 3
CONNECT_RETRIES = Retry(
    total=2, connect=2, read=0, redirect=0, status=0, other=0, backoff_factor=0.2,
    raise_on_status=False, respect_retry_after_header=False,
)  # fmt: skip
_CHUNK = 64 << 10
_SAID = 500


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to read: a path below the root, such as `/market`, and its parameters."""

    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The body of a 200, whole and decompressed."""

    path: str
    body: bytes


class Wire:
    """Reads from one exchange, within its rate and within time and size limits."""

    def __init__(
        self,
        root: str,
        *,
        key: str = "",
        key_header: str = "apikey",
        rate: float = 0,
        total_seconds: float = TOTAL_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate`: requests a second, 0 for no pacing; `total_seconds` bounds each request with its body."""
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("the key holds characters that a header cannot carry")
        self.root = root.rstrip("/")
        self.requests = 0
        """How many requests were sent, those answered with 429 too."""
        self.secrets = (key,) if key else ()
        self._total_seconds, self._sleep, self._clock = total_seconds, sleep, clock
        self._pacer = pacer(urlsplit(root).netloc, rate)
        self._session = _session({key_header: key} if key else {})

    def __repr__(self) -> str:
        return f"<Wire to {urlsplit(self.root).hostname}>"

    def close(self) -> None:
        """Let the connections go."""
        self._session.close()

    def get(self, request: Request) -> Answer:
        """Send the request and give back its answer; waits as long as 429 asks, at most three times.

        Raises Unreachable, RateLimited, BadAnswer, or Refused for a 4xx.
        """
        if not request.path.startswith("/") or request.path.startswith("//"):
            raise ValueError(f"a path below the root starts with one slash, unlike {request.path!r}")
        for _ in range(MAX_LIMITED):
            try:
                return self._send(request)
            except RateLimited as error:
                self._sleep(error.retry_after)
        return self._send(request)

    def _send(self, request: Request) -> Answer:
        self._pacer.wait(sleep=self._sleep)
        deadline = self._clock() + self._total_seconds
        self.requests += 1
        try:
            with self._session.get(
                self.root + request.path,
                params=request.params,
                timeout=(min(CONNECT_SECONDS, self._total_seconds), min(READ_SECONDS, self._total_seconds)),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, request.path, deadline)
        except (requests.ConnectionError, requests.Timeout, TimeoutError) as error:
            raise Unreachable(f"GET {request.path}: no answer ({_reason(error)})") from error
        except (requests.RequestException, HTTPError) as error:
            raise BadAnswer(f"GET {request.path}: the answer broke off ({_reason(error)})") from error
        if response.status_code != 200:
            self._refuse(request.path, response, body)
        return Answer(path=request.path, body=body)

    def _read(self, response: requests.Response, path: str, deadline: float) -> bytes:
        """The decompressed body, piece by piece so that time and size are looked at between pieces."""
        body = bytearray()
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if len(body) > MAX_BYTES:
                raise BadAnswer(f"GET {path}: the answer is over {MAX_BYTES >> 20} MiB")
            if self._clock() > deadline:
                raise Unreachable(f"GET {path}: not done within {self._total_seconds:g} s")
        return bytes(body)

    def _refuse(self, path: str, response: requests.Response, body: bytes) -> NoReturn:
        status = response.status_code
        said = clean(body[: _SAID * 4].decode("utf-8", "replace"), most=_SAID, secrets=self.secrets)
        if status == 429:
            raise RateLimited(
                f"GET {path}: too many requests (429)", retry_after=retry_after(response.headers), said=said
            )
        error: ExchangeError
        if status >= 500:
            error = Unreachable(f"GET {path}: the exchange answers {status}", said=said)
        elif status >= 400:
            error = Refused(f"GET {path}: refused with {status}", errno=status, said=said)
        else:
            error = BadAnswer(f"GET {path}: {status} where 200 was expected; redirects are not followed", said=said)
        raise error


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float:
    """The seconds that Retry-After asks for, as a number or a date: 0 to 60, and 1 where it is unreadable."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), MAX_RETRY_AFTER)
    when = _date(asked)
    if when is None:
        return DEFAULT_RETRY_AFTER
    # Against the exchange's own clock, where it tells it: ours may differ.
    since = _date(headers.get("Date", "")) or now or datetime.now(UTC)
    return min(max((when - since).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _reason(error: BaseException) -> str:
    """The kind of the error that lies deepest: its text may hold addresses."""
    while inner := error.__cause__ or error.__context__ or getattr(error, "reason", None):
        if not isinstance(inner, BaseException):
            break
        error = inner
    return type(error).__name__


def _session(headers: Mapping[str, str]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "markets/1"})
    session.headers.update(headers)
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=CONNECT_RETRIES))
    return session
