"""Workflows that the tests of the admin look at."""

from __future__ import annotations

from scheduling import Call, Retry, action, mutation, workflow
from scheduling.exceptions import StepFailed

DID: list[str] = []


@action(name="flows.say", retry=Retry(initial_backoff=10, max_failures=3, jitter=0))
def say(word: str, fails: int = 0) -> str:
    DID.append(word)
    if DID.count(word) <= fails:
        raise ValueError(f"cannot say {word} yet")
    return word.upper()


@mutation(name="flows.count")
def count(n: int = 0) -> int:
    return n + 1


@action(name="flows.broken", retry=False)
def broken(why: str = "no use") -> None:
    raise ValueError(why)


@workflow(name="flows.child")
def child(step, n: int) -> int:
    first = step.run(count, {"n": n})
    return step.run(count, {"n": first}, name="second")


@workflow(name="flows.tour")
def tour(step, word: str = "hello") -> str:
    """One step of each kind: a job that is tried again, calls of which one fails, a child, a sleep, an event."""
    step.run(count, {"n": 1})
    step.run(say, {"word": word, "fails": 2}, run_after=5)
    try:
        step.gather(Call(count, {"n": 1}), Call(broken), Call(count, {"n": 2}))
    except StepFailed:
        step.run_workflow(child, {"n": 7})
    step.sleep(86400)
    return step.wait_for_event("approved", timeout=3600) or "nobody"


@workflow(name="flows.naps")
def naps(step) -> None:
    step.sleep(86400)


@workflow(name="flows.listens")
def listens(step) -> None:
    step.wait_for_event("approved")


@workflow(name="flows.gathers")
def gathers(step, calls: int = 2) -> None:
    step.gather(*[Call(count, {"n": n}, run_after=3600) for n in range(calls)])


@workflow(name="flows.parent")
def parent(step) -> None:
    step.run_workflow(naps)


@workflow(name="flows.later")
def later(step) -> None:
    step.run(count, {"n": 1}, run_after=3600)


@workflow(name="flows.retries")
def retries(step, word: str = "stutter", fails: int = 9) -> str:
    return step.run(say, {"word": word, "fails": fails})


@workflow(name="flows.three")
def three(step, n: int = 1) -> int:
    for name in ("first", "second", "third"):
        n = step.run(count, {"n": n}, name=name)
        DID.append(name)
    return n


@workflow(name="flows.fails")
def fails(step, why: str = "no use") -> None:
    step.run(count, {"n": 1})
    step.run(broken, {"why": why})
