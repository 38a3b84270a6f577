"""Every error that markets raises on purpose.

MarketsError
├── UnknownExchange        no exchange of that name is set up here
├── SyncFailed             one or more exchanges could not be synced; the others were
└── ExchangeError          something went wrong between us and an exchange
    ├── Unreachable        no answer: connection, time limit, or the exchange is down (5xx)
    ├── RateLimited        it says 429, or our own limit for it has no token left
    ├── CircuitOpen        too many requests in a row failed: it is not asked for a while
    ├── BadAnswer          an answer that cannot be read: not JSON, cut, too large, wrong shape
    ├── Refused            it read the request and said no
    └── NothingGathered    it answered nothing of what an analysis asked
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markets.results import SyncResult


class MarketsError(Exception):
    """The base of all errors of this app."""


class UnknownExchange(MarketsError):
    """No exchange of that name is set up here."""


class SyncFailed(MarketsError):
    """One or more exchanges could not be synced: `errors` says why by name, `results` what the others did."""

    def __init__(self, errors: Mapping[str, Exception], results: list[SyncResult]) -> None:
        self.errors = dict(errors)
        self.results = results
        super().__init__("; ".join(f"{name}: {error}" for name, error in errors.items()))


class ExchangeError(MarketsError):
    """Something went wrong between us and an exchange.

    The text names the path that was asked for and never holds a key. `said` is what the exchange answered,
    cut and cleaned: for operators, never to be shown to others.
    """

    def __init__(self, message: str, *, said: str = "") -> None:
        super().__init__(message)
        self.said = said

    def for_operators(self) -> str:
        """The text together with what the exchange said."""
        return f"{self}. It said: {self.said}" if self.said else str(self)


class Unreachable(ExchangeError):
    """No answer: the connection, a time limit, or the exchange is down."""


class RateLimited(ExchangeError):
    """The exchange answers 429, or our own limit for it has no token left; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float, said: str = "") -> None:
        super().__init__(message, said=said)
        self.retry_after = retry_after


class CircuitOpen(ExchangeError):
    """Too many requests in a row failed, so none was sent; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadAnswer(ExchangeError):
    """An answer that cannot be read: not JSON, cut short, too large, a redirect, or of the wrong shape."""


class Refused(ExchangeError):
    """The exchange read the request and said no: `errno` is its own number, or else the HTTP status."""

    def __init__(self, message: str, *, errno: int, said: str = "") -> None:
        super().__init__(message, said=said)
        self.errno = errno


class NothingGathered(ExchangeError):
    """The exchange gave nothing of what an analysis, or one of its fetches, asked."""
