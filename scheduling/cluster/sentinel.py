"""The sentinel: starts the workers, the pusher and the monitor, replaces those that die, and stops them all."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from django import db
from django_q.cluster import Sentinel, monitor, pusher, worker

from scheduling import functions
from scheduling.cluster import executor, loop, rescue, slots
from scheduling.cluster.endings import endings
from scheduling.cluster.interrupts import STUBBORN_AFTER, listen
from scheduling.cluster.packets import Cell
from scheduling.cluster.process import enter
from scheduling.cluster.slots import Slot, Slots
from scheduling.cluster.workqueue import ResultQueue, WorkQueue
from scheduling.conf import conf

logger = logging.getLogger("scheduling")

CYCLE = 0.2  # seconds between two looks at the stop flag
SHORT_GRACE = 5.0  # what a second SIGTERM leaves to running jobs
RESPAWN_PAUSE = 0.1  # seconds: a process that dies at its start must not become a fork bomb

_fork = multiprocessing.get_context("fork")


class JobSentinel(Sentinel):  # type: ignore[misc]
    """django-q2's sentinel on queues without locks; each worker has a slot that outlives it."""

    def __init__(self, main: int, stop_event: Any, start_event: Any, cluster_id: Any):
        super().__init__(stop_event, start_event, cluster_id, start=False)
        enter("sentinel", main)  # after the line above, which sets signal handlers of its own
        self.slots = Slots(self.pool_size, conf().async_concurrency if functions.has_async() else 0)
        self.task_queue = WorkQueue(executor.execute, self.slots)
        self.result_queue = ResultQueue()
        self.broker.attach(self.task_queue, self.slots, os.getpid())
        self.slot_of: dict[BaseProcess, Slot] = {}
        self.start()

    def start(self) -> None:
        """Start all processes, then guard them until the host stops."""
        db.connections.close_all()  # nothing open is inherited
        for _ in range(self.pool_size):
            self.spawn_worker()
        self.monitor = self.spawn_monitor()
        self.pusher = self.spawn_pusher()
        self.guard()

    def spawn_process(self, target: Callable[..., Any], *args: Any) -> BaseProcess:
        """Fork a process of the cluster, in the role that its target plays."""
        role = {worker: "worker", pusher: "pusher", monitor: "monitor"}[target]
        process = _fork.Process(target=_play, args=(role, os.getpid(), target, *args), daemon=True)
        process.start()
        return process

    def spawn_worker(self) -> None:
        """Fork a worker into a free slot; where the dead ones' are not settled yet, the next turn tries again."""
        slot = self.slots.take()
        if slot is None:
            return
        slots.mine = slot  # for the child, which inherits it
        try:
            process = self.spawn_process(worker, self.task_queue, self.result_queue, Cell("f", -1), self.timeout)
        except OSError as error:  # no memory or no process to be had: the next turn tries again
            logger.error("worker.not_started: %s", error)
            slot.free()
            return
        finally:
            slots.mine = None
        slot.begin(_pid(process))
        self.slot_of[process] = slot
        self.pool.append(process)

    def guard(self) -> None:
        """Replace whoever dies, at once, until the host is told to stop."""
        self.start_event.set()
        while not self.stop_event.is_set():
            everyone = [*self.pool, self.monitor, self.pusher]
            wait([process.sentinel for process in everyone], timeout=CYCLE)
            dead = [process for process in everyone if not process.is_alive()]
            for process in dead:
                self.replace(process)
            for _ in range(self.pool_size - len(self.pool)):
                self.spawn_worker()
            self.end_stubborn()
            if dead:
                time.sleep(RESPAWN_PAUSE)
        self.stop()

    def end_stubborn(self) -> None:
        """End workers whose body did not let go when it timed out or was canceled, as in a long C call."""
        for process, slot in self.slot_of.items():
            why = slot.overdue(time.monotonic(), STUBBORN_AFTER)
            if why and process.is_alive():
                logger.warning("worker.ended pid=%s: its job does not let go (%s)", process.pid, why.name.lower())
                slot.mark_ended(why, time.monotonic())
                os.kill(_pid(process), signal.SIGKILL)

    def replace(self, process: BaseProcess) -> None:
        """Put a new process in a dead one's place; a worker's slot is left to the pusher to settle."""
        role = "worker" if process in self.slot_of else "pusher" if process is self.pusher else "monitor"
        logger.warning("%s.died pid=%s exit=%s: replaced", role, process.pid, process.exitcode)
        if process is self.pusher:
            self.pusher = self.spawn_pusher()
        elif process is self.monitor:
            self.monitor = self.spawn_monitor()
        else:
            self.bury(process)

    def bury(self, process: BaseProcess) -> None:
        """Take a dead worker out of the pool and mark its slot."""
        self.pool.remove(process)
        self.slot_of.pop(process).die(process.exitcode or 0)

    def stop(self) -> None:
        """Claim nothing more, let running jobs end within the grace, give back the rest, and end everybody."""
        self.task_queue.put("STOP")
        self.event_out.set()
        _end([self.pusher], lambda: 5.0)
        _end(self.pool, self._grace)
        self.result_queue.put_nowait("STOP")
        _end([self.monitor], lambda: 2.0)
        self._give_back()

    def _grace(self) -> float:
        return SHORT_GRACE if self.stop_event.level > 1 else conf().shutdown_grace

    def _give_back(self) -> None:
        """Settle what running jobs could not end; where the database is away, another host or start will."""
        try:
            own = rescue.own(os.getpid())
            if own:
                rescue.stopped(own)
        except db.Error as error:
            logger.warning("host.stopped_silently: %s", error)


def _play(role: str, parent: int, target: Callable[..., Any], *args: Any) -> None:
    """The first lines of every process of the cluster."""
    enter(role, parent)
    try:
        if role == "worker":
            listen()
            with loop.beside(args[0]):
                target(*args)
        else:
            target(*args)
    finally:
        endings.close()
        db.connections.close_all()


def _pid(process: BaseProcess) -> int:
    assert process.pid, "it has been started"  # 0 would mean our whole process group
    return process.pid


def _end(processes: list[BaseProcess], grace: Callable[[], float]) -> None:
    """Wait until processes have ended, and kill those that have not within their grace."""
    began = time.monotonic()
    while any(process.is_alive() for process in processes) and time.monotonic() - began < grace():
        time.sleep(0.02)
    for process in processes:
        if process.is_alive():
            logger.warning("process.killed pid=%s: its grace is over", process.pid)
            os.kill(_pid(process), signal.SIGKILL)
            process.join()
