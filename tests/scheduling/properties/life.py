"""Jobs as they must be: a model of their life in Python, ten lines a rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st

from scheduling import Call, Permanent, Retry, RetryAfter, action, mutation
from scheduling.cluster.claims import Claim
from scheduling.models import Job

START = datetime(2026, 1, 1, tzinfo=UTC)
PENDING, RUNNING, SUCCESS, FAILED, CANCELED = "pending", "in_progress", "success", "failed", "canceled"
TWICE = Retry(max_failures=2, initial_backoff=10, base=3, jitter=0)
ONCE = Retry(max_failures=1, initial_backoff=0, jitter=0)
WINDOW, MAX_WAIT = timedelta(seconds=45), timedelta(seconds=25)


@mutation(name="life.write", max_crashes=2)
def write() -> None: ...


@mutation(name="life.write_again", retry=TWICE)
def write_again() -> None: ...


@action(name="life.act")
def act() -> None: ...


@action(name="life.act_again", retry=TWICE)
def act_again() -> None: ...


@mutation(name="life.told")
def told(run_id: str, result: dict, context: Any) -> None:
    """Never claimed here: only counted."""


FUNCTIONS = {function.name: function for function in (write, write_again, act, act_again)}


@dataclass
class Known:
    """What the model knows of a job, by the names of its columns."""

    COLUMNS: ClassVar = (
        *("id", "name", "run_at", "created_at", "priority", "expires_at", "key", "holds_key", "waits_for_id"),
        *("parent_id", "retry_of_id", "state", "claim", "attempt", "crashes", "finished_at"),
    )

    id: int
    name: str
    run_at: datetime
    created_at: datetime
    priority: int = 0
    tells: bool = False
    retry: Retry | None = None
    expires_at: datetime | None = None
    key: str | None = None
    holds_key: bool = False
    waits_for_id: int | None = None
    parent_id: int | None = None
    retry_of_id: int | None = None
    state: str = PENDING
    claim: int = 0
    attempt: int = 0
    crashes: int = 0
    past: int = 0
    """Attempts that have failed and were followed by another, or will be."""
    begun: bool = False
    finished_at: datetime | None = None

    @property
    def is_action(self) -> bool:
        return FUNCTIONS[self.name].kind == "action"

    @property
    def ended(self) -> bool:
        return self.state in (SUCCESS, FAILED, CANCELED)

    @property
    def untouched(self) -> bool:
        return self.state == PENDING and self.attempt == 0

    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.COLUMNS}

    def attempts(self) -> list[int]:
        return [*range(1, self.past + 1), *([self.attempt] if self.begun else [])]


@dataclass(frozen=True)
class Options:
    """What a call says."""

    fn: str
    delay: int
    priority: int
    tells: bool
    expires: int | None
    retry: Any

    def call(self, **more: Any) -> Call:
        said = {"retry": self.retry, "expires": self.expires, "on_complete": told if self.tells else None}
        return Call(self.fn, None, run_after=self.delay, priority=self.priority, context="c", **said, **more)

    @property
    def policy(self) -> Retry | None:
        return FUNCTIONS[self.fn].options.retry if self.retry is None else self.retry or None


options = st.builds(
    Options,
    fn=st.sampled_from(sorted(FUNCTIONS)),
    delay=st.sampled_from([0, 0, 0, 0, 20, 60]),
    priority=st.sampled_from([0, 0, 5]),
    tells=st.booleans(),
    expires=st.sampled_from([None, None, None, 70]),
    retry=st.sampled_from([None, None, False, ONCE]),
)
which = st.integers(0, 99)
"""Picks one of what there is."""
CAUSES = {"error": ValueError("again"), "final": Permanent("no"), "after": RetryAfter(40)}
MODES = ["keep", "replace", "debounce", "throttle", "keep_last"]


@dataclass
class Model:
    """All jobs as they must be."""

    now: datetime = START
    jobs: dict[int, Known] = field(default_factory=dict)

    def add(self, job: Job, said: Options, parent: Known | None, **more: Any) -> Known:
        run_at = self.now + timedelta(seconds=said.delay)
        expires_at = said.expires and self.now + timedelta(seconds=said.expires)
        new = Known(job.pk, said.fn, run_at, self.now, said.priority, said.tells, said.policy, expires_at, **more)
        self.jobs[job.pk] = new
        if parent:
            new.parent_id = parent.id
            if parent.state == CANCELED:
                self.end(new, CANCELED)
        return new

    def run_again(self, job: Job, old: Known) -> None:
        said = Options(old.name, 0, old.priority, old.tells, None, old.retry or False)
        self.add(job, said, None, retry_of_id=old.id)

    def change(self, job: Known, said: Options, latest: datetime | None = None) -> None:
        run_at = self.now + timedelta(seconds=said.delay)
        job.run_at = min(run_at, latest) if latest else run_at
        job.priority, job.tells, job.retry = said.priority, said.tells, said.policy
        job.expires_at = said.expires and self.now + timedelta(seconds=said.expires)

    def due(self, limit: int) -> list[Known]:
        due = [job for job in self.jobs.values() if self._is_due(job)]
        first = max((job.priority for job in due), default=0)
        line = sorted((job.run_at, job.id) for job in due if job.priority == first and not self.is_late(job))
        return [self.jobs[id] for _, id in line[:limit]]

    def _is_due(self, job: Known) -> bool:
        return job.state == PENDING and job.waits_for_id is None and job.run_at <= self.now

    def is_late(self, job: Known) -> bool:
        return job.untouched and job.expires_at is not None and job.expires_at <= self.now

    def holder(self, name: str, key: str) -> Known | None:
        return next(
            (job for job in self.jobs.values() if (job.name, job.key, job.holds_key) == (name, key, True)), None
        )

    def is_live(self, claim: Claim) -> bool:
        job = self.jobs[claim.id]
        return job.state == RUNNING and job.claim == claim.claim

    def end(self, job: Known, state: str) -> None:
        job.state, job.finished_at = state, self.now
        if job.waits_for_id is None:  # else the end of the one before it passes on
            self._wake(job)

    def _wake(self, before: Known) -> None:
        for job in self.jobs.values():
            if job.waits_for_id == before.id:
                job.waits_for_id = None
                if job.ended:
                    self._wake(job)

    def end_attempt(self, job: Known, state: str) -> None:
        job.begun = True
        self.end(job, state)

    def again(self, job: Known, wait: timedelta) -> None:
        job.state, job.run_at, job.begun, job.past = PENDING, self.now + wait, False, job.past + 1

    def release(self, job: Known) -> None:
        job.state, job.begun, job.attempt = PENDING, False, job.attempt - 1

    def fail(self, job: Known, cause: BaseException | None = None) -> bool:
        """Gives whether it is tried again."""
        if job.retry is None or isinstance(cause, Permanent) or job.attempt > job.retry.max_failures:
            self.end_attempt(job, FAILED)
            return False
        self.again(job, cause.wait if isinstance(cause, RetryAfter) else job.retry.wait(job.attempt, 0.5))
        return True

    def crash(self, job: Known, begun: bool) -> None:
        if not begun:
            self.release(job)
        elif job.crashes + 1 >= FUNCTIONS[job.name].options.max_crashes:
            self.end_attempt(job, FAILED)
        elif not job.is_action:
            job.crashes += 1
            self.release(job)
        elif self.fail(job):
            job.crashes += 1
