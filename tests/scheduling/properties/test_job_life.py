"""The life of jobs, whatever happens to them and in which order: each step against a model held in Python."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from scheduling import scheduler, testing
from scheduling.cluster import cancels, outcomes, rescue, transitions
from scheduling.cluster.claims import Claim
from scheduling.cluster.slots import Slots
from scheduling.cluster.transitions import Trace
from scheduling.models import Attempt, Host, Job
from scheduling.running import Execution, executing
from tests.scheduling.claiming import take
from tests.scheduling.properties import examples
from tests.scheduling.properties.life import (
    CANCELED,
    CAUSES,
    FAILED,
    FUNCTIONS,
    MAX_WAIT,
    MODES,
    PENDING,
    RUNNING,
    START,
    SUCCESS,
    WINDOW,
    Known,
    Model,
    Options,
    options,
    told,
    which,
)

PROCESS = 7
repeated = st.sampled_from([["crash"] * 3, ["error"] * 3])
COLUMNS = [*Known.COLUMNS, "args", "started_at", "result", "error", "log", "process", "interrupt"]


def claim_due(host: Host, limit: int) -> list[Claim]:
    """The one place that knows how jobs are claimed."""
    return take(host, limit, sorted(FUNCTIONS))


class JobLife(RuleBasedStateMachine):
    """Anything may happen to jobs at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.claims, self.final = Model(), [], {}
        self.stack = ExitStack()
        self.stack.enter_context(transaction.atomic())
        self.stack.callback(transaction.set_rollback, True)
        self.clock = self.stack.enter_context(testing.clock(START))
        self.stack.enter_context(testing.random(0.5))
        self.host = rescue.register(1, os.getpid())

    def teardown(self) -> None:
        self.stack.close()

    # Scheduling

    @rule(all_said=st.lists(options, min_size=1, max_size=3))
    def schedule(self, all_said):
        for job, said in zip(scheduler.bulk([said.call() for said in all_said]), all_said, strict=True):
            self.model.add(job, said, None)

    @rule(said=options, key=st.sampled_from("ab"), mode=st.sampled_from(MODES))
    def schedule_with_a_key(self, said, key, mode):
        self.keyed(said, key, mode)

    @rule(said=options, running=st.booleans(), fn=st.sampled_from(["life.write", "life.act_again"]))
    def schedule_the_last_only(self, said, running, fn):
        holder = self.model.holder(fn, "last")
        if running and holder in self.ready():
            self.bring(holder)
        self.keyed(replace(said, fn=fn), "last", "keep_last")

    @precondition(lambda self: self.waiting())
    @rule(nth=which, again=options)
    def cancel_one_that_waits_and_schedule_it_again(self, nth, again):
        job = self.pick(self.waiting(), nth)
        assert scheduler.cancel(job.id)
        self.cancel_in_model([job])
        self.keyed(replace(again, fn=job.name), job.key, "keep_last")

    @precondition(lambda self: self.parents())
    @rule(said=options, nth=which, key=st.sampled_from([None, "a", "last"]), mode=st.sampled_from(MODES))
    def schedule_inside_of_a_job(self, said, nth, key, mode):
        parent = self.pick(self.parents(), nth)
        with executing(Execution(parent.id, parent.attempt, parent.claim, writes=False)):
            if key is None:
                self.model.add(scheduler.bulk([said.call()])[0], said, parent)
            else:
                self.keyed(said, key, "keep_last" if key == "last" else mode, parent)

    @precondition(lambda self: self.of(SUCCESS, FAILED, CANCELED))
    @rule(nth=which)
    def run_again_what_has_ended(self, nth):
        old = self.pick(self.of(SUCCESS, FAILED, CANCELED), nth)
        self.model.run_again(scheduler.retry(old.id), old)

    def keyed(self, said: Options, key: str, mode: str, parent: Known | None = None) -> None:
        """Schedule with a key: the rules of scheduling.keys, once more."""
        model, more = self.model, {"throttle": {"window": WINDOW}, "debounce": {"max_wait": MAX_WAIT}}.get(mode, {})
        (job,) = scheduler.bulk([said.call(key=key, key_mode=mode, **more)])
        assert job.key == key
        holder = model.holder(said.fn, key)
        if parent and parent.state == CANCELED:
            model.add(job, said, parent, key=key)
            return
        if holder:
            stays = mode == "keep" or (mode == "throttle" and model.now < holder.created_at + WINDOW)
            changes = mode in ("replace", "debounce", "keep_last") and holder.untouched
            assert job.created is not (stays or changes)
            if changes:
                model.change(holder, said, holder.created_at + MAX_WAIT if mode == "debounce" else None)
            if stays or changes:
                assert job.pk == holder.id
                return
            holder.holds_key = False
        before = model.jobs.get(holder.waits_for_id or 0) if holder and holder.ended else holder
        waits_for = before.id if before and not before.ended and mode == "keep_last" else None
        new = model.add(job, said, parent, key=key, holds_key=True, waits_for_id=waits_for)
        new.run_at = min(new.run_at, model.now + MAX_WAIT) if mode == "debounce" else new.run_at

    # What hosts and workers do

    @rule(limit=st.integers(1, 4))
    def claim(self, limit):
        expected = self.model.due(limit)
        claimed = claim_due(self.host, limit)
        assert [claim.id for claim in claimed] == [job.id for job in expected]
        for claim, job in zip(claimed, expected, strict=True):
            job.state, job.claim, job.attempt, job.begun = RUNNING, job.claim + 1, job.attempt + 1, False
            assert (claim.claim, claim.attempt) == (job.claim, job.attempt)
        self.claims += claimed

    @precondition(lambda self: self.ready())
    @rule(nth=which, endings=st.lists(st.sampled_from([*CAUSES, "crash"]), max_size=4) | repeated)
    def attempt_after_attempt(self, nth, endings):
        """Of one job, until it has ended or the endings are through; then it runs."""
        job = self.pick(self.ready(), nth)
        for ending in [*endings, None]:
            if job.state == PENDING:
                self.bring(job)
            if job.state == RUNNING and ending:
                if ending == "crash":
                    self.crash(job, begun=True)
                else:
                    self.fail_with(self.claim_of(job), ending)

    def bring(self, job: Known) -> None:
        """Claim a pending job, and whatever else is due before it, and begin."""
        self.reschedule_to(job, self.model.now - timedelta(seconds=1))
        self.expire()
        while job.state == PENDING:
            self.claim(8)
        if job.state == RUNNING and job.is_action:
            self.begin(self.claim_of(job))

    @precondition(lambda self: self.startable())
    @rule(nth=which)
    def start(self, nth):
        self.begin(self.pick(self.startable(), nth))

    def begin(self, claim: Claim) -> None:
        assert transitions.start(claim, PROCESS) == self.model.now
        self.model.jobs[claim.id].begun = True

    @precondition(lambda self: self.running())
    @rule(nth=which)
    def finish(self, nth):
        claim = self.pick(self.running(), nth)
        assert transitions.finish(claim, "1", Trace())
        self.model.end_attempt(self.model.jobs[claim.id], SUCCESS)

    @precondition(lambda self: self.running() and self.startable())
    @rule(nth=which, following=which, stale=which, late=st.booleans())
    def finish_and_start_the_next(self, nth, following, stale, late):
        claim, next_one = self.pick(self.running(), nth), self.pick(self.startable(), following)
        if late and self.stale():
            next_one = self.pick(self.stale(), stale)
        expected = self.model.is_live(next_one) and next_one != claim
        if next_one == claim:
            return
        assert transitions.finish_and_start(claim, "1", Trace(process=PROCESS), next_one) == (True, expected)
        self.model.end_attempt(self.model.jobs[claim.id], SUCCESS)
        self.model.jobs[next_one.id].begun |= expected

    @precondition(lambda self: self.mutations())
    @rule(count=st.integers(1, 4), stale=which, late=st.booleans())
    def finish_all(self, count, stale, late):
        claims = self.mutations()[:count]
        if late and self.stale():
            with transaction.atomic():
                lost = self.pick(self.stale(), stale)
                assert not transitions.finish_all([(claim, "1", Trace()) for claim in (*claims, lost)])
                transaction.set_rollback(True)
        else:
            assert transitions.finish_all([(claim, "1", Trace()) for claim in claims])
            for claim in claims:
                self.model.end_attempt(self.model.jobs[claim.id], SUCCESS)

    @precondition(lambda self: self.running())
    @rule(nth=which, cause=st.sampled_from(sorted(CAUSES)))
    def fail(self, nth, cause):
        self.fail_with(self.pick(self.running(), nth), cause)

    def fail_with(self, claim: Claim, cause: str) -> None:
        assert outcomes.failed(FUNCTIONS[claim.name], claim, "no", Trace(), cause=CAUSES[cause])
        self.model.fail(self.model.jobs[claim.id], CAUSES[cause])

    @precondition(lambda self: self.live())
    @rule(nth=which)
    def drop(self, nth):
        claim = self.pick(self.live(), nth)
        assert transitions.drop(claim, Trace())
        self.model.end_attempt(self.model.jobs[claim.id], CANCELED)

    @precondition(lambda self: self.live())
    @rule(nth=which)
    def release(self, nth):
        """What has not begun goes back; then it is claimed anew, and whoever had it comes late."""
        claim = self.pick(self.live(), nth)
        job = self.model.jobs[claim.id]
        assert transitions.release(claim) is not job.begun
        if not job.begun:
            self.model.release(job)
            if job in self.ready():
                self.bring(job)
            self.comes_late(claim)

    @precondition(lambda self: self.live())
    @rule(some=st.lists(which, min_size=1, max_size=4))
    def give_back(self, some):
        held = {(claim.id, claim.claim) for claim in (self.pick(self.live(), nth) for nth in some)}
        ours = {pair for pair in held if not self.model.jobs[pair[0]].begun}
        stale = [(claim.id, claim.claim) for claim in self.stale()]
        assert transitions.give_back([*held, *stale]) == ours
        for id, _claim in ours:
            self.model.release(self.model.jobs[id])

    @precondition(lambda self: self.live())
    @rule(nth=which, begun=st.booleans())
    def worker_dies(self, nth, begun):
        self.crash(self.model.jobs[self.pick(self.live(), nth).id], begun)

    def crash(self, job: Known, begun: bool) -> None:
        slot = Slots(1).take()
        slot.hold(job.id, job.claim)
        if begun and not job.is_action:
            slot.run(None)
        slot.die(-9)
        rescue.worker(self.host.pk, slot, [])
        self.model.crash(job, job.begun or (begun and not job.is_action))

    @rule(kept=st.lists(which, max_size=2))
    def pusher_dies(self, kept):
        """A new one takes back what no worker has."""
        held = {(claim.id, claim.claim) for claim in (self.pick(self.live(), nth) for nth in kept) if claim}
        lost = [self.model.jobs[claim.id] for claim in self.live() if (claim.id, claim.claim) not in held]
        rescue.orphans(self.host.pk, Slots(1), held)
        for job in lost:
            self.model.crash(job, job.begun)

    @rule(asked=st.booleans())
    def host_ends(self, asked):
        """It is stopped, or it dies and another one finds that out."""
        held = [self.model.jobs[claim.id] for claim in self.live()]
        if asked:
            rescue.stopped(self.host)
        else:
            rescue.host(self.host)
            rescue.leftovers()
        for job in held:
            if not asked:
                self.model.crash(job, job.begun)
            elif job.begun and job.retry is None:
                self.model.end_attempt(job, FAILED)
            else:
                self.model.release(job)
        self.host = rescue.register(1, os.getpid())

    @precondition(lambda self: self.stale())
    @rule(nth=which)
    def somebody_comes_late(self, nth):
        self.comes_late(self.pick(self.stale(), nth))

    def comes_late(self, claim: Claim) -> None:
        """Whatever it tries, nothing happens."""
        before = self.everything()
        assert not transitions.start(claim, PROCESS)
        assert not transitions.finish(claim, "2", Trace())
        assert not transitions.finish_all([(claim, "2", Trace())])
        assert not transitions.fail(claim, "late", Trace())
        assert not transitions.retry(claim, "late", timedelta(0), Trace())
        assert not transitions.drop(claim, Trace())
        assert not transitions.release(claim, begun=True)
        assert not transitions.give_back([(claim.id, claim.claim)])
        assert not outcomes.crashed(FUNCTIONS[claim.name], claim, "late", Trace(), begun=True)
        assert self.everything() == before

    # What people do, and time

    @precondition(lambda self: self.model.jobs)
    @rule(nth=which, interrupt=st.booleans())
    def cancel(self, nth, interrupt):
        job = self.pick(list(self.model.jobs.values()), nth)
        assert scheduler.cancel(job.id, interrupt=interrupt) is not job.ended
        self.cancel_in_model([job])

    @rule(by=st.sampled_from([*sorted(FUNCTIONS), RUNNING, "a", "last"]))
    def cancel_all(self, by):
        chosen = [job for job in self.of(PENDING, RUNNING) if by in (job.name, job.state, job.key)]
        filters = {RUNNING: {"state": by}, "a": {"key": by}, "last": {"key": by}}
        assert scheduler.cancel_all(**filters.get(by, {"fn": by})) == len(chosen)
        self.cancel_in_model(chosen)

    @rule()
    def expire(self):
        late = [job for job in self.model.jobs.values() if self.model.is_late(job)]
        assert cancels.expire() == len(late)
        self.cancel_in_model(late)

    @precondition(lambda self: self.model.jobs)
    @rule(nth=which)
    def refuse(self, nth):
        job = self.pick(list(self.model.jobs.values()), nth)
        assert cancels.refuse(job.id, "never") is (job.state == PENDING)
        if job.state == PENDING:
            self.model.end(job, FAILED)

    @precondition(lambda self: self.model.jobs)
    @rule(nth=which, ahead=st.sampled_from([-30, 0, 15, 50]))
    def reschedule(self, nth, ahead):
        job = self.pick(list(self.model.jobs.values()), nth)
        self.reschedule_to(job, self.model.now + timedelta(seconds=ahead))

    def reschedule_to(self, job: Known, when: datetime) -> None:
        assert scheduler.reschedule(job.id, when) is (job.state == PENDING)
        if job.state == PENDING:
            job.run_at = when

    @rule(seconds=st.sampled_from([1, 10, 30, 100]))
    def time_passes(self, seconds):
        self.model.now = self.clock.jump(seconds)

    def cancel_in_model(self, jobs: Iterable[Known]) -> None:
        for job in jobs:
            if not job.ended:
                self.model.end(job, CANCELED)

    # What must hold after each step

    @invariant()
    def all_is_well(self):
        rows = list(Job.objects.values(*COLUMNS))
        found = {row["id"]: row for row in rows if row["name"] != told.name}
        self.each_job_is_as_the_model_says(found)
        self.what_has_ended_stays_as_it_is(found)
        self.each_end_is_told_once_and_nothing_else_is([row for row in rows if row["name"] == told.name])
        self.attempts_are_recorded_and_never_more_than_the_policy_allows()
        self.a_key_has_one_holder_and_of_the_last_only_one_runs_and_one_waits(found.values())

    def each_job_is_as_the_model_says(self, found):
        assert found.keys() == self.model.jobs.keys()
        for id, job in self.model.jobs.items():
            expected = job.columns()
            assert {name: found[id][name] for name in expected} == expected
            assert (found[id]["started_at"] is not None) == job.begun

    def what_has_ended_stays_as_it_is(self, found):
        for job in self.of(SUCCESS, FAILED, CANCELED):
            row = {**found[job.id], "holds_key": None, "waits_for_id": None}  # a key goes on to the next
            assert self.final.setdefault(job.id, row) == row

    def each_end_is_told_once_and_nothing_else_is(self, tellers):
        ended = {str(job.id): job.state for job in self.model.jobs.values() if job.ended and job.tells}
        assert Counter(row["args"]["run_id"] for row in tellers) == Counter(ended.keys())
        for row in tellers:
            assert (row["args"]["result"]["type"], row["args"]["context"]) == (ended[row["args"]["run_id"]], "c")

    def attempts_are_recorded_and_never_more_than_the_policy_allows(self):
        shown: dict[int, list[int]] = {}
        for id, number in Attempt.objects.values_list("job_id", "number").order_by("number"):
            shown.setdefault(id, []).append(number)
        assert shown == {id: job.attempts() for id, job in self.model.jobs.items() if job.attempts()}
        assert all(job.attempt <= (job.retry.max_failures if job.retry else 0) + 1 for job in self.model.jobs.values())

    def a_key_has_one_holder_and_of_the_last_only_one_runs_and_one_waits(self, rows):
        holders = Counter((row["name"], row["key"]) for row in rows if row["holds_key"])
        assert not holders or max(holders.values()) == 1
        last = [row for row in rows if row["key"] == "last" and row["state"] in (PENDING, RUNNING)]
        for name in FUNCTIONS:
            of_one = [row for row in last if row["name"] == name]
            waiting = [row for row in of_one if row["waits_for_id"] is not None]
            assert len(waiting) <= 1 and len(of_one) - len(waiting) <= 1
            assert all(row["state"] == PENDING and row["attempt"] == 0 for row in waiting)

    # What there is

    def everything(self) -> tuple[list[Any], list[Any]]:
        return list(Job.objects.order_by("pk").values()), list(Attempt.objects.order_by("id").values())

    def waiting(self) -> list[Known]:
        return [job for job in self.of(PENDING) if job.waits_for_id]

    def of(self, *states: str) -> list[Known]:
        return [job for job in self.model.jobs.values() if job.state in states]

    def parents(self) -> list[Known]:
        return [job for job in self.of(RUNNING, CANCELED) if job.claim]

    def live(self) -> list[Claim]:
        return [claim for claim in self.claims if self.model.is_live(claim)]

    def stale(self) -> list[Claim]:
        """Claims that are no longer anybody's; if possible such that their job has been claimed anew."""
        stale = [claim for claim in self.claims if not self.model.is_live(claim)]
        return [claim for claim in stale if self.model.jobs[claim.id].state == RUNNING] or stale

    def claim_of(self, job: Known) -> Claim:
        return next(claim for claim in self.live() if claim.id == job.id)

    def ready(self) -> list[Known]:
        return [job for job in self.of(PENDING) if not job.waits_for_id]

    def startable(self) -> list[Claim]:
        jobs = self.model.jobs
        return [claim for claim in self.live() if jobs[claim.id].is_action and not jobs[claim.id].begun]

    def running(self) -> list[Claim]:
        """Whose body has begun; a mutation's start has no commit of its own."""
        return [claim for claim in self.live() if claim not in self.startable()]

    def mutations(self) -> list[Claim]:
        return [claim for claim in self.live() if not self.model.jobs[claim.id].is_action]

    def pick(self, several: list[Any], nth: int) -> Any:
        return several[nth % len(several)] if several else None


@pytest.mark.django_db
def test_whatever_happens_each_job_is_where_it_must_be():
    run_state_machine_as_test(JobLife, settings=examples(60, stateful_step_count=40))
