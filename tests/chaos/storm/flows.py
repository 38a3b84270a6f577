"""The part of the load that takes many steps: workflows, sagas and batches, and the events that they wait for.

Its luck is its own: the rest of the load is the same with it or without. Nothing of it is begun in a calm, when the
speed is measured under an even load.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from django.db import transaction

from scheduling import Call, Step, batches, events, saga, workflows
from scheduling.batches import Nested
from scheduling.cluster.every import Every
from scheduling.models import Job, JournalEntry
from tests.chaos.storm import functions as fn
from tests.chaos.storm import workflows as wf

A_SECOND = {"workflow": 1.2, "saga": 0.8, "batch": 0.25}
"""How many begin, where 60 calls a second are scheduled besides."""
FIRST = 10_000_000  # their numbers are none of those of other calls
LOOK = 0.7  # seconds between two looks for workflows that wait for an event
LEGS = {
    "mark": 8.0,
    "once": 3,
    "again": 3,
    "refused": 1,
    "pool": 1,
    "async": 1,
    "gather": 1,
    "sleep": 1,
    "early": 1,
    "late": 0.5,
    "never": 0.5,
    "child": 0.7,
}
DOES = (fn.mark, fn.once, fn.again, fn.wait_once, fn.short)
CALLS = {fn.mark: 70.0, fn.short: 20, fn.once: 4, fn.again: 4}
LARGEST = 200
OFTEN = 0.25  # the share of sagas and workflows that are canceled
Begin = Callable[[], None]


class Flows:
    """Begins them, cancels some, and remembers what the database has acknowledged."""

    def __init__(self, seed: int, rate: float) -> None:
        self.luck, self.share = random.Random(f"{seed} flows"), rate / 60
        self.workflows: set[int] = set()
        self.sagas: set[int] = set()
        self.batches: set[int] = set()
        self.cancels: dict[str, dict[int, list[bool]]] = {"workflow": {}, "saga": {}, "batch": {}}
        self._n = FIRST
        self._looks = Every(LOOK)
        self._sent: set[int] = set()
        self._unacknowledged: deque[Begin] = deque()
        self._doomed: list[tuple[float, str, int]] = []

    def turn(self, seconds: float) -> list[Begin]:
        """What is to be begun in so many seconds of load."""
        kinds = {"workflow": self._workflow, "saga": self._saga, "batch": self._batch}
        chosen = [kind for kind, rate in A_SECOND.items() if self.luck.random() < rate * self.share * seconds]
        again = [self._unacknowledged.popleft() for _ in range(len(self._unacknowledged))]
        return again + [kinds[kind]() for kind in chosen]

    def steer(self) -> list[Begin]:
        """What goes on whatever the weather: events for those that wait, and cancels whose time has come."""
        steps = [lambda one=one: self._cancel(*one[1:]) for one in self._doomed if one[0] <= time.monotonic()]
        self._doomed = [one for one in self._doomed if one[0] > time.monotonic()]
        return [*steps, self.send] if self._looks() else steps

    def send(self) -> None:
        """Send each workflow that waits for one its event. Where the answer is lost it is sent again, to no effect."""
        waiting = JournalEntry.objects.filter(kind="event", name="late", state="waiting")
        ids = set(waiting.values_list("workflow_id", flat=True)) - self._sent
        for id, args in Job.objects.filter(pk__in=ids).values_list("pk", "args"):
            events.send("late", args["n"], workflow=id)
            self._sent.add(id)

    def _cancel(self, kind: str, id: int) -> None:
        verb = {"workflow": workflows.cancel, "saga": saga.cancel, "batch": batches.cancel}[kind]
        answers = self.cancels[kind].setdefault(id, [])
        answers.append(verb(id))

    def _dooms(self, kind: str) -> Callable[[int], None]:
        """Chosen now, as all luck is; known only when it has begun, by its id."""
        after = self.luck.uniform(0, 2.5) if self.luck.random() < OFTEN else None

        def begun(id: int) -> None:
            if after is not None:
                self._doomed.append((time.monotonic() + after, kind, id))

        return begun

    def _workflow(self) -> Begin:
        n, dooms = self._numbers(1), self._dooms("workflow")
        plan = self.luck.choices(list(LEGS), list(LEGS.values()), k=self.luck.randint(4, 12))
        late = [place for place, leg in enumerate(plan) if leg == "late"]
        plan = ["mark" if place in late[1:] else leg for place, leg in enumerate(plan)]  # one event is sent to each

        def begin() -> None:
            self._unacknowledged.append(begin)  # its key gives it back where it was begun, and the answer lost
            with transaction.atomic():
                job = workflows.start(
                    wf.journey, {"n": n, "plan": plan}, on_complete=fn.told, context={"n": n}, key=f"journey-{n}"
                )
                for nth in range(plan.count("early") if job.created else 0):
                    events.send("early", nth, workflow=job)
            self._unacknowledged.remove(begin)
            self.workflows.add(job.pk)
            dooms(job.pk)

        return begin

    def _saga(self) -> Begin:
        luck, count, dooms = self.luck, self.luck.randint(3, 5), self._dooms("saga")
        n, fails = self._numbers(count), self.luck.randrange(count) if self.luck.random() < 0.35 else None
        steps = []
        for place in range(count):
            do = fn.refused if place == fails else luck.choice(DOES)
            undo = luck.choices([wf.undo, wf.unmark, None], [6, 3, 1])[0]
            steps.append(Step(do, undo, {"n": n + place}))

        def begin() -> None:
            made = saga.run(steps, on_complete=wf.saga_told, context={"n": n})
            self.sagas.add(made.pk)
            dooms(made.pk)

        return begin

    def _batch(self) -> Begin:
        luck, dooms = self.luck, self._dooms("batch")
        on_failure, fails = luck.choice(["continue", "cancel"]), luck.random() < 0.5
        calls: list[Call | Nested] = self._calls(luck.randint(20, max(20, int(LARGEST * self.share))), fails)
        if luck.random() < 0.4:
            within = self._calls(luck.randint(0, 20), fails)
            inner = Nested(within, wf.batch_told, {"n": self._first(within)}, luck.choice([None, "continue"]))
            calls[luck.randrange(len(calls))] = inner
        n = self._first(calls)

        def begin() -> None:
            made = batches.run(calls, on_complete=wf.batch_told, context={"n": n}, on_failure=on_failure)
            self.batches.add(made.pk)
            dooms(made.pk)

        return begin

    def _calls(self, count: int, fails: bool) -> list[Any]:
        """Calls whose numbers follow each other: so the place of each is known by it."""
        kinds = CALLS | ({fn.refused: 2.0} if fails else {})
        n = self._numbers(count)
        chosen = self.luck.choices(list(kinds), list(kinds.values()), k=count)
        return [Call(function, {"n": n + place}) for place, function in enumerate(chosen)]

    @staticmethod
    def _first(calls: list[Any]) -> int:
        """The number of the first call of these, whether it is there or has given its place to a batch."""
        found = [call.args["n"] - place for place, call in enumerate(calls) if isinstance(call, Call)]
        return found[0] if found else 0

    def _numbers(self, count: int) -> int:
        self._n += count
        return self._n - count
