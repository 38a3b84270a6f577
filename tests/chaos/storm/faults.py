"""The faults, at random by the seed: each is brought about, undone, and noted with its time and its victims."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.chaos.points import Points
from tests.chaos.proxy import Proxy
from tests.chaos.server import Server
from tests.chaos.storm.evidence import Fault
from tests.chaos.storm.hosts import Host, send
from tests.chaos.storm.place import Place

POINTS = (
    "claim.before",
    "claim.after_commit",
    "claim.before_commit",
    "start.before",
    "start.after_commit",
    "finish.before",
    "finish.before_commit",
    "finish.after_commit",
    "on_complete.inserted",
    "retry.before_commit",
    "rescue.before_commit",
    "tick.before_commit",
    "journal.before_commit",
    "saga.went_on",
    "batch.look",
    "batch.close",
    "batch.cancel",
)
ROLES = {"worker": 5, "pusher": 2, "monitor": 1, "sentinel": 1, "main": 1}
LOST = 3  # hosts
DIES_WITH_IT = ("main", "sentinel")  # the whole host does
Step = Callable[["Faults", Fault], None]


@dataclass(frozen=True)
class Target:
    """What faults are brought about in."""

    hosts: Sequence[Host]
    there: Place
    points: Points
    dead_after: float
    """Seconds."""
    done: list[Fault] = field(default_factory=list)
    """All faults so far."""


def gusts(seed: int, streams: Sequence[Faults], until: float, calm: threading.Event) -> None:
    """Let the streams blow at once, in gusts, with calms between in which the speed is measured; `calm` tells them."""
    luck = random.Random(f"{seed} gusts")
    while (now := time.monotonic()) < until:
        end = min(now + luck.uniform(5, 12), until)
        calm.clear()
        with ThreadPoolExecutor(len(streams)) as threads:
            for done in [threads.submit(stream.blow, end) for stream in streams]:
                done.result()
        calm.set()
        time.sleep(max(0, min(luck.uniform(9, 11), until - time.monotonic())))


class Faults:
    """A stream of faults, one after the other, with luck of its own."""

    def __init__(self, seed: int, name: str, target: Target, kinds: dict[Step, float]) -> None:
        self.luck, self.kinds = random.Random(f"{seed} {name}"), kinds
        self.hosts, self.there, self.points = target.hosts, target.there, target.points
        self.dead_after, self.done = target.dead_after, target.done

    def blow(self, until: float) -> None:
        """One fault soon after the other."""
        while time.monotonic() < until:
            (step,) = self.luck.choices(list(self.kinds), list(self.kinds.values()))
            self.bring(step)
            time.sleep(max(0, min(self.luck.uniform(0.1, 1.5), until - time.monotonic())))

    def kill_one_after_the_other(self, times: int) -> None:
        """So many SIGKILLs, each when all processes are there again; then hosts that do not come back by themselves."""
        for _ in range(times):
            self.bring(kill)
            for host in self.hosts:
                host.wait_up()
            time.sleep(self.luck.uniform(0.1, 0.6))
        for _ in range(LOST if len(self.hosts) > 1 else 0):
            self.bring(lose_host)
            for host in self.hosts:
                host.wait_up()

    def bring(self, step: Step) -> Fault:
        """Bring one fault about, undo it, and note it."""
        fault = Fault(kind=step.__name__.replace("_", " "), began=time.monotonic())
        self.done.append(fault)
        try:
            step(self, fault)
        finally:
            fault.ended = time.monotonic()
        return fault

    @property
    def server(self) -> Server:
        """The server of a storm on PostgreSQL."""
        assert self.there.server
        return self.there.server

    @contextmanager
    def network(self, fault: Fault) -> Iterator[list[Proxy]]:
        """The network of one host, or of all, to break; it is mended at the end."""
        proxies = self.there.proxies
        names = self.luck.choice([*([name] for name in proxies), list(proxies)])
        fault.what = " ".join(names)
        try:
            yield [proxies[name] for name in names]
        finally:
            for name in names:
                proxies[name].mend()

    def victim(self, role: str) -> tuple[Host, int] | None:
        """A living process of a role, of any host; None where there is none just now."""
        found = [(host, pid) for host in self.hosts for pid in host.pids(role)]
        return self.luck.choice(found) if found else None


def kill(faults: Faults, fault: Fault) -> None:
    """SIGKILL of one process."""
    kill_one_of(faults, fault, faults.luck.choices(list(ROLES), list(ROLES.values()))[0])


def kill_one_of(faults: Faults, fault: Fault, role: str) -> None:
    """SIGKILL of one process of a role: with the main process or the sentinel dies their host."""
    fault.kind = f"kill {role}"
    if victim := faults.victim(role):
        host, pid = victim
        fault.killed = tuple(host.pids()) if role in DIES_WITH_IT else (pid,)
        fault.what = f"{host.name} {pid}"
        send(pid, signal.SIGKILL)


def kill_workers(faults: Faults, fault: Fault) -> None:
    """SIGKILL of all workers of a host."""
    host = faults.luck.choice(faults.hosts)
    fault.kind, fault.killed, fault.what = "kill worker", tuple(host.pids("worker")), f"{host.name}, all"
    for pid in fault.killed:
        send(pid, signal.SIGKILL)


def kill_again_and_again(faults: Faults, fault: Fault) -> None:
    """Some SIGKILLs, each soon after the other."""
    for _ in range(faults.luck.randint(3, 6)):
        faults.bring(kill)
        time.sleep(faults.luck.uniform(0, 0.3))


def lose_host(faults: Faults, fault: Fault) -> None:
    """SIGKILL of all processes of a host, which stays away until others have taken it for dead."""
    host = faults.luck.choice(faults.hosts)
    fault.killed, fault.what, host.held = tuple(host.pids()), host.name, True
    host.signal_all(signal.SIGKILL)
    time.sleep(faults.dead_after + 3)
    host.held = False


def stop_for_a_while(faults: Faults, fault: Fault) -> None:
    """SIGSTOP of one process, and SIGCONT soon after."""
    if victim := faults.victim(faults.luck.choice(list(ROLES))):
        host, pid = victim
        fault.what = f"{host.name} {pid}"
        stopped([pid], faults.luck.uniform(0.2, 1.5))


def stop_for_long(faults: Faults, fault: Fault) -> None:
    """SIGSTOP of one process for longer than most jobs may run; on SQLite it may hold the one lock meanwhile."""
    if victim := faults.victim(faults.luck.choice(list(ROLES))):
        host, pid = victim
        fault.what = f"{host.name} {pid}"
        stopped([pid], faults.luck.uniform(4, 8))


def stop_past_lease(faults: Faults, fault: Fault) -> None:
    """SIGSTOP of a whole host, or of its pusher, until others have taken it for dead; then it wakes."""
    host = faults.luck.choice(faults.hosts)
    pids = host.pids(faults.luck.choice([None, "pusher"]))
    fault.what = f"{host.name} {pids}"
    stopped(pids, faults.dead_after + faults.luck.uniform(1.5, 3))


def stopped(pids: Sequence[int], seconds: float) -> None:
    """SIGSTOP, and SIGCONT after so many seconds."""
    for pid in pids:
        send(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        send(pid, signal.SIGCONT)


def roll(faults: Faults, fault: Fault) -> None:
    """SIGTERM of a host, which ends in its own time and is started again."""
    host = faults.luck.choice(faults.hosts)
    fault.what, before = host.name, host.process
    before.send_signal(signal.SIGTERM)
    end = time.monotonic() + 20
    while before.poll() is None and time.monotonic() < end:
        time.sleep(0.05)


def die_at_a_point(faults: Faults, fault: Fault) -> None:
    """Some process dies at a named point of our own code, the next few times that one comes there."""
    point, way = faults.luck.choice(POINTS), faults.luck.choice(["kill", "exit", "sleep=0.5"])
    fault.what = f"{point} {way}@{(nth := faults.luck.randint(1, 3))}"
    faults.points.arm(point, f"{way}@{nth}")
    wait_for(lambda: faults.points.hits(point) >= nth, 3)
    faults.points.disarm(point)


def wait_for(true: Callable[[], bool], seconds: float) -> None:
    """Wait until something is true, or until so many seconds are over."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)


ANYWHERE: dict[Step, float] = {
    kill: 5,
    kill_workers: 1,
    kill_again_and_again: 1,
    stop_for_a_while: 2,
    stop_for_long: 0.7,
    roll: 1,
    die_at_a_point: 4,
}
WITH_OTHERS: dict[Step, float] = {lose_host: 0.7, stop_past_lease: 0.7}
"""Where other hosts take over."""
