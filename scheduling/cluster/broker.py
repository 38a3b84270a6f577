"""The pusher's loop, as django-q2's broker: tick the crons, rescue, claim for idle workers, else wait."""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django_q.brokers.orm import ORM
from django_q.conf import Conf as DjangoQ
from django_q.models import OrmQ

from scheduling import clock, functions, lanes, limits, pools
from scheduling.cluster import cancels, claims, rescue, ticker, tokens, transitions
from scheduling.cluster.audit import Audit, Stall
from scheduling.cluster.claims import Lane
from scheduling.cluster.errors import OURS_AGAIN, first_line, held, is_transient
from scheduling.cluster.every import Every
from scheduling.cluster.loopwork import LoopWork
from scheduling.cluster.outlook import Outlook
from scheduling.cluster.retention import Retention
from scheduling.cluster.slots import Slot, Slots
from scheduling.cluster.sweep import Sweep
from scheduling.cluster.wakeups import Wakeups
from scheduling.cluster.workqueue import WorkQueue
from scheduling.conf import conf
from scheduling.models import Host

logger = logging.getLogger("scheduling")

LOOK_FOR_DEAD = 1.0  # seconds between two looks for dead hosts where they can be seen at once (one machine)
LOOK_FOR_LEFTOVERS = 5.0  # seconds between two looks for claims of hosts that have ended, unless one just has
LOOK_FOR_CANCELS = 0.25  # seconds between two looks whether a running job has been canceled
LOOK_FOR_EXPIRED = 1.0  # seconds between two sweeps: of jobs that have expired, of batches
AUDIT = 5.0  # seconds between two looks for claims that nobody on this host has
CALM = 1.0  # seconds without a failure after which an outage is over, and idle workers have been handed what waited
TICK_AGAIN = 0.2  # seconds until crons that are due, but must wait, are looked at again
LOCK_TIMEOUT = "3s"
SLEEP_TIMEOUT = "5s"  # after which a transaction of ours is ended whose process has been stopped
BOUNDS = """
SELECT set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false)
"""
LOOK_FOR_PLAIN = 1.0  # seconds between two looks for plain async_task()s while there are none


class JobBroker(ORM):  # type: ignore[misc]
    """Claims jobs for this host's idle workers and hands them out; plain tasks go django-q2's own way."""

    queue: WorkQueue
    slots: Slots
    sentinel: int

    def attach(self, queue: WorkQueue, slots: Slots, sentinel: int) -> None:
        """Tell it its host's queue and slots (by the sentinel, before the pusher is forked)."""
        self.queue, self.slots, self.sentinel = queue, slots, sentinel
        self.host: Host | None = None
        self._began = False
        self._outage: float | None = None
        self._back: float | None = None  # since when it answers again
        self._sure_at = self._calm_at = 0.0
        self._beats = Every(conf().beat_seconds)
        self._dead = Every(LOOK_FOR_DEAD)
        self._leftovers = Every(LOOK_FOR_LEFTOVERS)
        self._plain = Every(LOOK_FOR_PLAIN)
        self._cancels = Every(LOOK_FOR_CANCELS)
        self._ticks = Every(TICK_AGAIN)
        self._audits = Every(AUDIT)
        self._expiries = Every(LOOK_FOR_EXPIRED)
        self._audit, self._retention, self._stall, self._sweep = Audit(), Retention(), Stall(), Sweep()
        self._names = functions.names()
        self.loops = LoopWork(queue, self._names)
        self.outlook = Outlook(partial(claims.look, self._names))
        self._empty: dict[str, float] = {}  # lanes whose limit has no token, and until when (time.monotonic())
        self._pause = 0.05
        self.wakeups = Wakeups()

    @staticmethod
    def get_connection(list_key: str | None = None) -> QuerySet[OrmQ]:
        """django-q2's own table; it is not looked at before it is asked for."""
        rows: QuerySet[OrmQ] = OrmQ.objects.using(DjangoQ.ORM)
        return rows

    def dequeue(self) -> list[tuple[int, str]] | None:
        """One turn of the pusher: never raises and never blocks long, whatever the database does."""
        link = None
        try:
            link = held()
            work = self._turn()
        except Exception as error:
            self._lost(error, link)
            return None
        if self._outage is not None:
            self._recover(self._outage)
        return work

    def _turn(self) -> list[tuple[int, str]] | None:
        self._begin()
        self._settle_workers()
        self._take_back_late()
        self._rescue()
        self._interrupt()
        self.loops.look_after()
        if self._expiries():
            self._sweep.turn()
            self._keep_house()
        assert self.host is not None
        self.wakeups.hear()
        said = self.queue.said
        due = [lane for lane in self.outlook.lanes() if lanes.served(lane.name, conf().pools)]
        served = self._serve(due)
        self._stall.watch(not served and any(lane.name == "" for lane in due) and self.queue.idle() > 0)
        done = served + (self._tick() if self.outlook.ticks else 0)  # while the workers run what was served
        if self.queue.idle() and (plain := self._plain_tasks()):
            return plain
        if done:
            self.wakeups.worked(self.host.pk)
        elif said == self.queue.said:  # else that worker may have made something due after our look
            self._wait()
        return None

    def _serve(self, due: Sequence[Lane]) -> int:
        """Claim for workers, lane by lane, and reserve tokens; gives how many jobs were moved on."""
        done = 0
        for lane in due:
            if lane.name.startswith(lanes.TOKENS):
                done += self._reserve(lane)
            elif self.loops.serve(lane.name):
                done += self._claim_for_loops(lane)
            elif wanted := self.queue.wanted(lane.name):
                done += self._claim(lane, wanted)
        return done

    def _reserve(self, lane: Lane) -> int:
        now = time.monotonic()
        if self._empty.get(lane.name, 0) > now:
            return 0
        moved, empty = tokens.reserve(self._names, lane)
        self.outlook.advance(lane, more=moved == tokens.AT_ONCE)
        if empty:
            self._empty = {name: until for name, until in self._empty.items() if until > now}
            self._empty[lane.name] = now + min(empty, tokens.LOOK_AGAIN)
        return moved

    def _begin(self) -> None:
        """The first turn, and each after an outage: take back claims that nobody on this host has.

        A pusher before this one left them, or the answer to our own claim was lost on its way. It writes: a database
        that can only be read is not back yet, even where there is nothing else to write just now.
        """
        if self._began:
            return
        if self.host is None:
            self.host = rescue.register(DjangoQ.WORKERS, self.sentinel)
        else:
            rescue.beat(self.host.pk)
        if clock.database().vendor == "postgresql":
            with clock.database().cursor() as cursor:  # no row that somebody has locked holds us up, nor we others
                cursor.execute(BOUNDS, [LOCK_TIMEOUT, SLEEP_TIMEOUT])
        pools.sync(only_add=True)  # what is there may be of a newer release
        limits.sync(only_add=True)
        self._settle_workers()
        self._take_back()
        self.outlook.forget()
        self._began = True
        self._calm_at = time.monotonic() + CALM
        self._sure_at = time.monotonic() + conf().host_dead_after

    def _take_back(self) -> None:
        assert self.host is not None
        rescue.orphans(self.host.pk, self.slots, self.queue.in_flight())

    def _tick(self) -> int:
        """Make the jobs of due crons. Where none can be made they wait for a run to end: not again at once."""
        if not self._ticks():
            return 0
        made = ticker.tick()
        if made:
            self._ticks.now()
            self.outlook.forget()
        return made

    def _settle_workers(self) -> None:
        assert self.host is not None
        for slot in self.slots.dead():
            rescue.worker(self.host.pk, slot, self.queue.sent_to(slot.index))
            self.queue.forget(slot.index)
            slot.free()

    def _rescue(self) -> None:
        """Beat, and look for hosts that do not; one that was itself taken for dead begins anew."""
        assert self.host is not None
        if self._audits():
            self._take_back()
        if self._dead():
            if clock.database().vendor == "postgresql" and self._beats() and not rescue.beat(self.host.pk):
                logger.warning(
                    "host.replaced host=%s: it was silent for too long, and was taken for dead", self.host.pk
                )
                self.host = rescue.register(DjangoQ.WORKERS, self.sentinel)
            for dead in rescue.dead_hosts(self.host, judge_silence=time.monotonic() > self._sure_at):
                rescue.host(dead)
                self._leftovers.now()
            if self._leftovers():
                rescue.leftovers()

    def _keep_house(self) -> None:
        """Audit and remove; no audit right after a start or an outage, as all idle workers would seem forgotten."""
        assert self.host is not None
        if time.monotonic() >= self._calm_at:
            self._audit.turn(self.host)
        self._retention.turn()

    def _interrupt(self) -> None:
        """Signal the workers whose running job has been canceled meanwhile."""
        running = {pair: slot for slot in self.slots.live() if slot.running and (pair := slot.held)}
        if not running or not self._cancels():
            return
        for pair in cancels.interrupted([job for job, _claim in running]):
            slot = running.get(pair)
            if slot and slot.cancel(pair, time.monotonic()):
                _tell(slot)

    def _claim(self, lane: Lane, wanted: int) -> int:
        assert self.host is not None
        claimed = claims.claim(self.host.pk, self._names, lane, wanted)
        self.outlook.advance(lane.after(claimed), more=len(claimed) == wanted)
        if mine := self.loops.divert(claimed):
            self.queue.hand(lane.name, mine)
        return len(claimed)

    def _claim_for_loops(self, lane: Lane) -> int:
        assert self.host is not None
        done, room_left = self.loops.claim(self.host, lane)
        self.outlook.advance(lane, more=not room_left)
        return done

    def _take_back_late(self) -> None:
        """Give back what waits behind a job that turns out slow: another worker takes it."""
        for link in self.queue.late():
            slot = self.slots.at(link.slot)
            slot.take_back(link.messages[-1].number)
            link.late = True
            _tell(slot)  # first: on SQLite it may hold the only lock
            own = slot.come_to()
            gone = transitions.give_back([pair for pair in link.pairs() if pair not in own])
            for message in link.messages:
                message.pairs = [pair for pair in message.pairs if pair not in gone]
        if self.queue.left:
            transitions.give_back(self.queue.left)
            self.queue.left.clear()

    def _plain_tasks(self) -> list[tuple[int, str]] | None:
        """The next plain async_task(), if any: they are looked for once a second until one is found."""
        if not self._plain() or not self.get_connection().filter(key=self.list_key, lock__lt=clock.Now()).exists():
            return None
        self._plain.now()
        tasks: list[tuple[int, str]] | None = super().dequeue()
        return tasks

    def _wait(self) -> None:
        """There is nothing to do until a worker says something, a job is due, or somebody schedules one."""
        assert self.host is not None
        seconds = self.outlook.patience(TICK_AGAIN if self.queue.is_full() else self.wakeups.patience(self.host.pk))
        if self.outlook.ticks or self.queue.is_busy():  # a tick that must wait; cancels to look for
            seconds = min(seconds, TICK_AGAIN)
        now = time.monotonic()
        waits = [until - now for until in self._empty.values() if until > now]
        seconds = min([seconds, *waits])
        self.wakeups.wait(self.queue, seconds)

    def _recover(self, since: float) -> None:
        """The database is back: said once it has answered for a while, as it may come and go."""
        now = time.monotonic()
        self._back, self._pause = self._back or now, 0.05
        if now - self._back >= CALM:
            logger.warning("database.back after=%.1fs", self._back - since)
            self._outage = None

    def _lost(self, error: Exception, link: Any) -> None:
        """The database is away: say so once an outage, and wait, longer each time."""
        if self._outage is None:
            self._outage = time.monotonic()
            if is_transient(error, OURS_AGAIN, link):
                logger.warning("database.lost pid=%s: %s", os.getpid(), first_line(error))
            else:
                logger.error("pusher.failed pid=%s: it goes on trying", os.getpid(), exc_info=error)
        self._began, self._back = False, None
        self.wakeups.lost()
        clock.database().close()
        self.queue.wait(self._pause * random.uniform(0.5, 1.5))
        self._pause = min(self._pause * 2, 2.0)


def _tell(slot: Slot) -> None:
    """Let a worker look at its slot: its body may be to end."""
    if slot.pid:  # 0, between two workers, would be our whole process group
        with suppress(ProcessLookupError):
            os.kill(slot.pid, signal.SIGUSR1)
