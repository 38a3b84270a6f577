"""Every error that scheduling raises on purpose.

SchedulingError
├── InvalidArguments     a call's arguments do not fit the function's annotations
├── InvalidResult        what a function gave back cannot be stored
├── InvalidSchedule      a cron expression, interval or time zone that cannot be used
├── InvalidOption        an option that the verb or the function does not take, or a value out of bounds
├── AlreadyExists        a cron or a function of that name is there already
├── NotFound             an unknown function, job, run, cron or limit
├── NotFinished          asked to remove or repeat what has not ended yet
├── ScheduleLimitExceeded   one execution of a function has scheduled more than it may
├── StepFailed           a step of a workflow has failed for good
│   └── OutcomeUnknown   … and nobody can say how far it came
├── NonDeterministic     a workflow's body departs from its journal
├── JournalTooLarge      a workflow would remember more than it may
├── LimitImpossible      more tokens are asked for than a rate limit can ever give
└── RateLimited          refused by a rate limit, where the call asked for an error

Outside of that tree:

    Permanent    raised by a function's own body: do not try again
    RetryAfter   raised by a function's own body: the next attempt waits just so long
    JobCanceled  raised inside a running body, which has been canceled; no `except Exception` swallows it
    JobTimeout   raised inside a running body, which has run for longer than it may; nor this one
"""

from __future__ import annotations

from datetime import timedelta

MAX_RETRY_AFTER = timedelta(hours=24)


class SchedulingError(Exception):
    """The base of all errors of this app."""


class InvalidArguments(SchedulingError):
    """The arguments do not fit the function; the message names each field."""


class InvalidResult(SchedulingError):
    """The result does not fit the return annotation, or cannot be stored as JSON."""


class InvalidSchedule(SchedulingError):
    """The schedule cannot be used; the message says what to write instead."""


class InvalidOption(SchedulingError):
    """An option is unknown, or its value is out of bounds."""


class AlreadyExists(SchedulingError):
    """Something of that name is there already."""


class NotFound(SchedulingError):
    """Nothing of that name or id is known."""


class NotFinished(SchedulingError):
    """The job has not ended yet."""


class ScheduleLimitExceeded(SchedulingError):
    """One execution of a function has scheduled more than it may."""


class StepFailed(SchedulingError):
    """A step of a workflow has failed for good; its body may catch it."""

    def __init__(self, name: str, error: str) -> None:
        super().__init__(name, error)
        self.name = name
        """The step's: that of its function, or what it was called."""
        self.error = error
        """With its traceback."""

    def __str__(self) -> str:
        lines = [line for line in self.error.strip().splitlines() if line.strip()]
        return f"{self.name}: {lines[-1] if lines else 'failed'}"


class OutcomeUnknown(StepFailed):
    """A step of a workflow has failed, and nobody can say how far it came: its process died, or it timed out."""


class NonDeterministic(SchedulingError):
    """The body of a workflow asks for something else than its journal has at that place."""


class JournalTooLarge(SchedulingError):
    """A workflow would remember more than 8 MiB."""


class LimitImpossible(SchedulingError):
    """The count is more than the rate limit can ever give at once; the message names limit, count and bound."""


class RateLimited(SchedulingError):
    """A rate limit refused; after `retry_after` seconds the tokens asked for are there, if nobody else takes them."""

    def __init__(self, retry_after: float, name: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(retry_after, name)

    def __str__(self) -> str:
        return f"rate limit {self.args[1]} refused: retry after {self.retry_after:g} s"


class Permanent(Exception):
    """Raised by a function's body: this failure is final, do not retry."""


class RetryAfter(Exception):
    """Raised by a function's body: a failure after which the next attempt waits just this long.

    The wait, in seconds or a timedelta, is used as it is, without jitter, and is at most 24 h. Without a retry
    policy, or when the policy's failures are used up, it is a failure like another. ValueError for a wait below 0.
    """

    def __init__(self, seconds: float | timedelta, message: str = "") -> None:
        wait = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if not wait >= 0:  # NaN too
            raise ValueError(f"RetryAfter takes a wait of 0 seconds or more, not {seconds!r}")
        self.wait = timedelta(seconds=min(wait, MAX_RETRY_AFTER.total_seconds()))
        super().__init__(message or f"retry after {self.wait.total_seconds():g} s")


class JobCanceled(KeyboardInterrupt):
    """The running job has been canceled: end now, what comes of it no longer counts.

    A KeyboardInterrupt, as psycopg then cancels the query in flight and keeps its connection.
    """


class JobTimeout(KeyboardInterrupt):
    """The attempt has run for longer than its timeout: a failure, tried again where the policy says so."""
