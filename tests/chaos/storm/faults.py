"""The faults, at random by the seed: each is brought about, undone, and noted with its time and its victims."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Sequence

from tests.chaos.storm.evidence import Fault
from tests.chaos.storm.hosts import Host, send

ROLES = {"worker": 5, "pusher": 2, "monitor": 1, "sentinel": 1, "main": 1}
DIES_WITH_IT = ("main", "sentinel")  # the whole host does
Step = Callable[["Faults", Fault], None]


class Faults:
    """Brings faults about, one after the other or in bursts, until it is told to stop."""

    def __init__(self, seed: int, hosts: Sequence[Host], dead_after: float, kinds: dict[Step, float]) -> None:
        self.luck, self.hosts, self.dead_after = random.Random(f"{seed} faults"), hosts, dead_after
        self.kinds = kinds
        self.done: list[Fault] = []

    def run(self, until: float, over: threading.Event) -> None:
        """One fault after the other until a moment: in bursts, and with calms in which the speed is measured."""
        while time.monotonic() < until and not over.is_set():
            (step,) = self.luck.choices(list(self.kinds), list(self.kinds.values()))
            self.bring(step)
            over.wait(min(self._gap(), until - time.monotonic()))

    def bring(self, step: Step) -> Fault:
        """Bring one fault about, undo it, and note it."""
        fault = Fault(kind=step.__name__.replace("_", " "), began=time.monotonic())
        self.done.append(fault)
        try:
            step(self, fault)
        finally:
            fault.ended = time.monotonic()
        return fault

    def _gap(self) -> float:
        """Seconds until the next one: mostly soon, sometimes late enough to see the speed come back."""
        return self.luck.uniform(8, 9) if self.luck.random() < 0.3 else self.luck.uniform(0.1, 2.5)

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


ANYWHERE: dict[Step, float] = {kill: 6, kill_workers: 1, kill_again_and_again: 1, stop_for_a_while: 2, roll: 1}
SEVERAL_HOSTS: dict[Step, float] = {lose_host: 1, stop_past_lease: 1}
