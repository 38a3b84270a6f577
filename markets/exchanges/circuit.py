"""A circuit for each exchange: after several failures in a row nobody asks it for a while.

    closed ──5 failures in a row──▶ open ──its time is over──▶ half-open: one request alone
       ▲                             ▲                            │
       └──────────success────────────┼────────────success─────────┤
                                     └──failure: twice as long────┘

It lives in the exchange's row, so it is one for all hosts, and goes by the database's clock. The row also keeps
until when an exchange that answered 429 asked to be left alone. While all is well nothing is written.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from django.db.models import Case, DurationField, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Greatest

from markets.exceptions import CircuitOpen, ExchangeError
from markets.exchanges.cleaning import clean
from markets.models import Exchange
from scheduling.clock import Now

FAILURES = 5
"""So many requests in a row that failed open the circuit."""
WAITS = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 240, 480, 600))
"""For how long: for the first failure that opens it, and for each one after; the last for all others."""
LEASE = timedelta(seconds=60)
"""How long the others wait for the one request that tries: longer than any request may take."""
MAX_SAID = 500

State = Literal["closed", "open", "half-open"]

_wait = Case(
    *(When(failures=FAILURES - 1 + place, then=Value(wait)) for place, wait in enumerate(WAITS)),
    When(failures__gte=FAILURES - 1 + len(WAITS), then=Value(WAITS[-1])),
    default=Value(timedelta(0)),
    output_field=DurationField(),
)


class Circuit:
    """The circuit of one exchange, as one client sees it; for one thread."""

    def __init__(self, exchange: str) -> None:
        self.exchange = exchange
        self._suspected = False
        self._lease: datetime | None = None

    @property
    def alone(self) -> bool:
        """Whether this client holds the one request that may try."""
        return self._lease is not None

    def wait(self) -> float:
        """The seconds until the next request may be sent, as the exchange asked; 0: at once.

        Raises CircuitOpen, where the circuit is open or another one is trying whether it can be closed.
        """
        failures, until, now = self._look()
        left = (until - now).total_seconds() if until else 0.0
        if left > 0 and failures < FAILURES:
            return left
        if failures >= FAILURES and (left > 0 or not self._try_alone(now)):
            raise CircuitOpen(
                f"{self.exchange} is not asked now: its last {failures} requests failed",
                retry_after=max(left, 0.0) or LEASE.total_seconds(),
            )
        return 0.0

    def succeeded(self) -> None:
        """Close the circuit; costs nothing where nothing had failed."""
        if self._suspected:
            self._ours().filter(failures__gt=0).update(failures=0, closed_until=None)
        self._suspected, self._lease = False, None

    def failed(self, error: ExchangeError, *, hold: float = 0) -> None:
        """Count a request that failed, and leave the exchange alone for `hold` seconds at least."""
        asked = Now() + timedelta(seconds=hold)
        until = Greatest(Coalesce(F("closed_until"), Now()), asked, Now() + _wait)
        said = clean(error.for_operators(), most=MAX_SAID)
        self._counting().update(failures=F("failures") + 1, closed_until=until, last_failure=said)
        self._suspected, self._lease = True, None

    def _look(self) -> tuple[int, datetime | None, datetime]:
        row: tuple[int, datetime | None, datetime] = (
            Exchange.objects.filter(pk=self.exchange).values_list("failures", "closed_until", Now()).get()
        )
        self._suspected = self._suspected or row[0] > 0
        return row

    def _try_alone(self, now: datetime) -> bool:
        """Of all that find the circuit's time over, one takes the lease."""
        free = Exchange.objects.filter(pk=self.exchange, failures__gte=FAILURES, closed_until__lte=Now())
        lease = now + LEASE
        if free.update(closed_until=lease):
            self._lease = lease
        return self.alone

    def _ours(self) -> QuerySet[Exchange]:
        """The row, unless somebody else has closed the exchange for a time that is not over."""
        over = Q(closed_until=None) | Q(closed_until__lte=Now()) | Q(closed_until=self._lease)
        return Exchange.objects.filter(over, pk=self.exchange)

    def _counting(self) -> QuerySet[Exchange]:
        """The row, unless the circuit is open: requests that were under way then do not make it open for longer."""
        return Exchange.objects.filter(pk=self.exchange).filter(
            Q(failures__lt=FAILURES) | Q(closed_until__lte=Now()) | Q(closed_until=self._lease)
        )


def state(exchange: Exchange, now: datetime) -> State:
    """How the circuit of an exchange stands at a time.

    >>> state(Exchange(failures=4), datetime(2026, 11, 21))
    'closed'
    """
    if exchange.failures < FAILURES or exchange.closed_until is None:
        return "closed"
    return "open" if exchange.closed_until > now else "half-open"


def close(exchange: str) -> bool:
    """Ask an exchange again at once, whatever failed and however long it asked to be left alone; whether that
    changed anything."""
    shut = Exchange.objects.filter(Q(failures__gt=0) | Q(closed_until__isnull=False), pk=exchange)
    return shut.update(failures=0, closed_until=None) > 0
