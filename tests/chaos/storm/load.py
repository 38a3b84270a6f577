"""The load: so many calls a second of every kind, whatever happens to the database meanwhile."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from django.db import Error, connection, transaction

from scheduling import Call, clock, scheduler
from scheduling.cluster.every import Every
from scheduling.models import Job
from tests.chaos.storm import functions as fn
from tests.chaos.storm.flows import Flows

TURN = 0.1  # seconds
LOOK = 1.0  # seconds between two looks at how much is left to do
MOST_BEHIND = 15.0  # seconds of load that may be left to do: on a busy machine it pauses then
PLAIN = {
    fn.mark: 30.0,
    fn.slow_mark: 1,
    fn.fan: 2,
    fn.refused: 1,
    fn.refused_at_first: 2,
    fn.hooked: 1,
    fn.once: 10,
    fn.again: 8,
    fn.short: 4,
    fn.wait_once: 8,
    fn.wait_again: 8,
    fn.fan_out: 1,
    fn.in_three: 4,
    fn.in_one_each: 4,
    fn.limited: 5,
    fn.endless: 0.2,
    fn.endless_again: 0.2,
    fn.endless_mark: 0.1,
    fn.stubborn: 0.03,
    fn.deadly: 0.3,
    fn.deadly_mark: 0.1,
    fn.deadly_again: 0.1,
    fn.leaky: 0.3,
}
"""Functions that are scheduled without more, and how often in a hundred or so."""
WORK = (fn.mark, fn.slow_mark, fn.once, fn.again, fn.wait_once, fn.wait_again)
"""What ends by itself, and takes long enough to be under way when its process is killed."""
MORE = {"cancel": 3.0, "transact": 3, "key": 5, "flood": 0.2}
FLOOD = (100, 500)
WAYS = ("exit", "kill", "abort", "leave")
POISON = (fn.endless, fn.endless_again, fn.endless_mark, fn.stubborn, fn.deadly, fn.deadly_mark, fn.deadly_again)
"""What is a fault by itself: it ends its worker, or holds it (on SQLite with the only lock) until its timeout."""


class Load(threading.Thread):
    """Schedules until it is told to stop, and remembers what the database has acknowledged."""

    def __init__(self, seed: int, rate: float, *, only: tuple[Any, ...] = ()) -> None:
        super().__init__(name="load", daemon=True)
        self.luck, self.rate = random.Random(f"{seed} load"), rate
        self.flows = None if only else Flows(seed, rate)
        plain = {each: weight for each, weight in PLAIN.items() if not only or each in only}
        choices = plain | ({} if only else MORE)
        self.choices, self.weights = list(choices), list(choices.values())
        self.acknowledged: set[int] = set()
        self.ghosts: set[int] = set()
        self.cancels: dict[int, list[bool]] = {}
        self.surprises: list[str] = []
        self.outages = 0
        self.calm = threading.Event()
        """Neither floods, poison nor flows while it is set: what is done can be held against what is due then."""
        self._recent: deque[int] = deque(maxlen=200)
        self._over = threading.Event()
        self._n = 0
        self._looks, self._behind = Every(LOOK), False

    def run(self) -> None:
        """One turn after the other, each at its time; those that an outage took are left out."""
        following = time.monotonic()
        while not self._over.is_set():
            if not self._is_behind():
                self._turn(round(self.rate * TURN))
                self._begin_flows()
            self.steer()
            following = max(following + TURN, time.monotonic())
            self._over.wait(following - time.monotonic())
        connection.close()

    def steer(self) -> None:
        """What workflows, sagas and batches need from outside to end."""
        for step in self.flows.steer() if self.flows else ():
            self._try(step)

    def stop(self) -> None:
        """Schedule nothing more; who waits for what has been begun goes on steering."""
        self._over.set()
        self.join()

    def _is_behind(self) -> bool:
        if self._looks():
            self._try(self._look)
        return self._behind

    def _look(self) -> None:
        self._behind = Job.objects.pending().filter(run_at__lte=clock.now()).count() > MOST_BEHIND * self.rate

    def _turn(self, count: int) -> None:
        chosen = self.luck.choices(self.choices, self.weights, k=count)
        if self.calm.is_set():
            chosen = [each for each in chosen if each != "flood" and each not in POISON]
        calls = [self._call(each) for each in chosen if each not in MORE]
        steps = [lambda: self._keep([job.id for job in scheduler.bulk(calls)])]
        steps += [self._MORE[each](self) for each in chosen if each in MORE]
        for step in steps:
            self._try(step)

    def _begin_flows(self) -> None:
        for step in self.flows.turn(TURN) if self.flows and not self.calm.is_set() else ():
            self._try(step)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Error:
            self.outages += 1
            connection.close()
        except Exception:
            self.surprises.append(traceback.format_exc())

    def _keep(self, jobs: list[int]) -> None:
        self.acknowledged.update(jobs)
        self._recent.extend(jobs)

    def _call(self, function: Any) -> Call:
        luck, self._n = self.luck, self._n + 1
        args: dict[str, Any] = {"n": self._n}
        if function is fn.fan:
            args["children"] = luck.randint(1, 5)
        if function is fn.in_one_each:
            args["market"] = luck.randint(1, 3)
        if function is fn.deadly:
            args["how"] = luck.choice(WAYS)
        return Call(function, args, **self._options(function))

    def _options(self, function: Any) -> dict[str, Any]:
        luck = self.luck
        options: dict[str, Any] = {}
        if luck.random() < 0.25:
            options |= {"on_complete": fn.told, "context": {"n": self._n}}
        if luck.random() < 0.1:
            options["run_after"] = luck.uniform(0.05, 2) if luck.random() < 0.95 else 3600
        elif luck.random() < 0.03:
            options["expires"] = luck.uniform(0.01, 1)
        if luck.random() < 0.1:
            options["priority"] = luck.randint(-5, 5)
        if function is fn.again and luck.random() < 0.1:
            options["retry"] = False
        return options

    def _cancel(self) -> Callable[[], None]:
        job = self.luck.choice(self._recent) if self._recent else None
        interrupt = self.luck.random() < 0.7

        def step() -> None:
            if job is not None:
                answers = self.cancels.setdefault(job, [])
                answers.append(scheduler.cancel(job, interrupt=interrupt))

        return step

    def _transact(self) -> Callable[[], None]:
        call, commits = self._call(fn.mark), self.luck.random() < 0.7

        def step() -> None:
            with transaction.atomic():
                (job,) = scheduler.bulk([call])
                if not commits:
                    transaction.set_rollback(True)
            if commits:
                self._keep([job.id])
            else:
                self.ghosts.add(call.args["n"])

        return step

    def _key(self) -> Callable[[], None]:
        mode = self.luck.choice(["keep", "replace", "debounce", "throttle", "keep_last"])
        function = fn.once if mode == "keep_last" else self.luck.choice([fn.mark, fn.once])
        self._n += 1
        n, key = self._n, f"{mode}-{self.luck.randint(1, 4)}-{self._n // 500 if mode == 'keep' else 0}"
        more = {"throttle": {"window": 1}, "debounce": {"max_wait": 1}}.get(mode, {})
        after = {"debounce": 0.3, "replace": 0.2}.get(mode, 0)

        def step() -> None:
            self._keep([scheduler.run_after(after, function, {"n": n}, key=key, key_mode=mode, **more).id])

        return step

    def _flood(self) -> Callable[[], None]:
        """Many short jobs at once, so that workers are handed several together."""
        calls = [self._call(self.luck.choice([fn.mark, fn.mark, fn.short])) for _ in range(self.luck.randint(*FLOOD))]
        return lambda: self._keep([job.id for job in scheduler.bulk(calls)])

    _MORE = {"cancel": _cancel, "transact": _transact, "key": _key, "flood": _flood}
