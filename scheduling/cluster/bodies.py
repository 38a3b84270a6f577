"""One async body in an event loop: its context and log, its timeout and cancel, and the tasks that it starts."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from scheduling.cluster.claims import Claim
from scheduling.cluster.interrupts import STUBBORN_AFTER, timed_out
from scheduling.cluster.logs import capture
from scheduling.cluster.places import Pair
from scheduling.cluster.writer import Ended, Ready
from scheduling.running import Execution, executing

logger = logging.getLogger("scheduling")


@dataclass(eq=False)
class Held:
    """What an event loop holds of one job, from the claim's arrival until its place is free again."""

    claim: Claim
    place: int
    due: Callable[[int, float | None], None]
    """Writes by when the body is to end, for the sentinel to see."""
    abandon: Callable[[Held], None]
    """Called where it does not let go."""
    ready: Ready | None = None
    task: asyncio.Task[None] | None = None
    execution: Execution | None = None
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    """What the body has started and has not ended."""
    runs: bool = False
    """Whether the body can be interrupted now."""
    interrupted: BaseException | None = None
    abandoned: bool = False
    """It did not let go: its fate is written, and its place stays taken until it ends."""
    over: bool = False
    settled: bool = False
    """Whether what came of it is committed."""

    @property
    def pair(self) -> Pair:
        """What its row is guarded by."""
        return self.claim.id, self.claim.claim

    async def run(self, say: Callable[[str], None]) -> Ended:
        """Run the body, to its end and that of its tasks; nothing that it does gets out of here."""
        assert self.ready
        loop = asyncio.get_running_loop()
        claim, run, timeout = self.claim, self.ready.run, self.ready.timeout
        logger.debug("job.started job=%s attempt=%s name=%s", claim.id, claim.attempt, claim.name)
        self.execution = Execution(claim.id, claim.attempt, claim.claim, writes=True, timeout=timeout, say=say)
        self.execution.deadline = self.ready.deadline
        value, error, timer = None, self.interrupted, None
        with capture(run.log), executing(self.execution):
            _body.set(self)
            if timeout is not None and error is None:
                self.due(self.place, loop.time() + timeout)
                timer = loop.call_later(timeout, self.interrupt, timed_out(timeout))
            try:
                if error is None:
                    self.runs = True
                    value = await run.function.body(**self.ready.arguments)
            except BaseException as raised:  # SystemExit too: it would end the loop
                error = raised
            finally:
                self.runs = False
                if timer:
                    timer.cancel()
            await self._end_tasks()
        self.due(self.place, None)
        return Ended(run, self.interrupted or error, value)

    def interrupt(self, why: BaseException) -> None:
        """Raise CancelledError in the body, once, and whatever it does then, end as `why` says."""
        if self.interrupted or self.over or (self.task and not self.runs):
            return
        self.interrupted = why
        if self.task and self.runs:
            self.due(self.place, asyncio.get_running_loop().time())
            self.task.cancel()
            asyncio.get_running_loop().call_later(STUBBORN_AFTER, self._give_up)

    def _give_up(self) -> None:
        if self.runs:
            self.abandoned = True
            self.due(self.place, None)
            self.abandon(self)

    async def _end_tasks(self) -> None:
        """Cancel what the body has started and left, and wait for it, as asyncio.run() does."""
        loop = asyncio.get_running_loop()
        end = loop.time() + STUBBORN_AFTER
        while self.tasks and loop.time() < end:
            for task in self.tasks:
                task.cancel()
            try:
                await asyncio.wait(self.tasks, timeout=end - loop.time())
            except asyncio.CancelledError:  # of a body that has canceled itself just before its end
                continue
        if self.tasks:
            logger.warning("job.tasks_left job=%s: %s do not let go", self.claim.id, len(self.tasks))


_body: ContextVar[Held | None] = ContextVar("scheduling_body", default=None)


def make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task, as a loop's task factory: one that a body starts is the body's, unless its context is another."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    context: contextvars.Context | None = options.get("context")
    body = _body.get() if context is None else context.get(_body)
    if body:
        body.tasks.add(task)
        task.add_done_callback(body.tasks.discard)
    return task
