"""One storm on one database, from its first host to its verdict."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from scheduling.cluster import failpoints
from scheduling.cluster.main import SENTINEL_DIED
from tests.chaos.points import Points
from tests.chaos.server import Server
from tests.chaos.storm import faults, invariants, pace, place, report
from tests.chaos.storm.evidence import Evidence, gather
from tests.chaos.storm.faults import Faults, Target
from tests.chaos.storm.finding import Finding
from tests.chaos.storm.hosts import Host, of_session
from tests.chaos.storm.outages import OUTAGES
from tests.chaos.storm.place import Place

WARM = 6.0  # seconds of load before the first fault
AROUND = 25.0  # seconds of a storm's time that start, calm and end take
CALM = 8.0  # seconds of load after the last fault
STANDS_STILL = 20.0  # seconds after the load in which less and less must be left to do
TELLS = 10.0  # seconds between two lines of progress
RATES = {"postgres": 60.0, "sqlite": 30.0}  # calls in a second
ENDINGS = (0, SENTINEL_DIED, -signal.SIGKILL, -signal.SIGTERM)  # the last one: told to stop before it had begun
GONE_WITHIN = 5.0  # seconds in which the server notices that a client has gone
BROKEN = (
    "job.broken",
    "job.not_rescued",
    "pusher.failed",
    "pusher.stalled",
    "Fatal Python error",
    "cron.broken",
    "audit.failed",
    "retention.failed",
    "loop.goes_on",
)
"""What hosts log where they themselves are to blame."""


@dataclass(frozen=True)
class Plan:
    """What storm is to be."""

    db: str
    seed: int
    seconds: float
    kills: int


class Storm:
    """Hosts, load and faults, and what comes of them."""

    def __init__(self, plan: Plan, there: Place, folder: Path) -> None:
        from scheduling.conf import conf
        from tests.chaos.storm.load import WORK, Load

        self.plan, self.there, self.folder = plan, there, folder
        self.hosts = [Host(name, folder / f"{name}.log", self._environment(name)) for name in there.urls]
        self.load = Load(plan.seed, RATES[plan.db], only=WORK if plan.kills else ())
        target = Target(self.hosts, there, Points(folder / "points"), conf().host_dead_after)
        several = len(self.hosts) > 1
        self.kills = Faults(plan.seed, "kills", target, faults.ANYWHERE | (faults.WITH_OTHERS if several else {}))
        self.streams = [self.kills] + ([Faults(plan.seed, "outages", target, OUTAGES)] if there.server else [])
        self.faults = target.done
        self.over = threading.Event()
        self.began = self.load_ended = time.monotonic()
        self.findings: list[Finding] = []

    def _environment(self, name: str) -> dict[str, str]:
        """The second host passes for one of another machine: only its heartbeat tells whether it lives."""
        more = {"DATABASE_URL": self.there.urls[name], failpoints.VARIABLE: str(self.folder / "points")}
        return more | ({"STORM_MACHINE": "another"} if name == "b" else {})

    def run(self) -> None:
        """Start all, let it storm, and wait until all has drained."""
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            host.wait_up()
        self.began = time.monotonic()
        threading.Thread(target=self._tell, name="progress", daemon=True).start()
        self.load.start()
        time.sleep(WARM)
        self._storm()
        time.sleep(CALM)
        self.load.stop()
        self.load_ended = time.monotonic()
        self._drain()
        self.over.set()

    def _storm(self) -> None:
        if self.plan.kills:
            self.kills.kill_one_after_the_other(self.plan.kills)
        else:
            until = time.monotonic() + max(self.plan.seconds - AROUND, 5)
            faults.gusts(self.plan.seed, self.streams, until, self.load.calm)

    def _drain(self) -> None:
        from django.db import connection

        from scheduling import crons
        from scheduling.models import Cron, Job

        connection.close()  # whatever the faults have left of it
        for name in Cron.objects.active().values_list("key", flat=True):
            crons.pause(name, "the storm is over")
        least, at = self._due(Job), time.monotonic()
        while least and time.monotonic() < at + STANDS_STILL:
            time.sleep(0.2)
            self.load.steer()
            if (due := self._due(Job)) < least:
                least, at = due, time.monotonic()

    def _due(self, jobs: type) -> int:
        """How many jobs run, or are to run soon (what waits longer was asked to), and what of many steps is open."""
        from scheduling import clock
        from scheduling.models import Batch, Saga

        soon = clock.now() + timedelta(minutes=5)
        left = jobs.objects.unfinished()
        waiting = left.filter(run_at__gt=soon, name="storm.journey")
        sagas = Saga.objects.filter(state__in=["running", "undoing"])
        return left.filter(run_at__lte=soon).count() + sum(
            rows.count() for rows in (waiting, sagas, Batch.objects.open())
        )

    def _tell(self) -> None:
        """A line of progress now and then, by the ledger: it is there whatever the database does."""
        before = 0
        while not self.over.wait(TELLS):
            done = (self.folder / "ledger").read_text().count(" end ")
            print(
                f"{self.plan.db} {time.monotonic() - self.began:5.0f} s  {done} bodies ended  "
                f"{len(self.faults)} faults  {(done - before) / TELLS:.0f}/s",
                flush=True,
            )
            before = done

    def evidence(self) -> Evidence:
        """All that came of it."""
        found = gather(self.folder / "ledger")
        found.acknowledged, found.ghosts, found.cancels = self.load.acknowledged, self.load.ghosts, self.load.cancels
        found.faults = self.faults
        if flows := self.load.flows:
            found.acknowledged = found.acknowledged | flows.workflows
            found.cancels = found.cancels | flows.cancels["workflow"]
            found.flows.acknowledged_sagas, found.flows.acknowledged_batches = flows.sagas, flows.batches
            found.flows.saga_cancels, found.flows.batch_cancels = flows.cancels["saga"], flows.cancels["batch"]
        found.began, found.load_ended = self.began, self.load_ended
        return found

    def stop(self) -> None:
        """Stop the hosts as an operator would, and look at what they leave."""
        for host in self.hosts:
            host.stop()
        for host in self.hosts:
            self._look_at(host)
        if self.there.server:
            self._look_at_server(self.there.server)
        self.findings += [Finding("a verb raised", surprise) for surprise in self.load.surprises[:3]]

    def _look_at_server(self, server: Server) -> None:
        from django.db import connection

        connection.close()
        for proxy in self.there.proxies.values():
            proxy.cut()  # a client that died while nothing passed has told nobody
        faults.wait_for(lambda: not server.backends(place.NAME), GONE_WITHIN)
        if left := server.backends(place.NAME):
            told = server.execute(
                "SELECT pid, state, backend_start, state_change, wait_event_type, wait_event, left(query, 200) "
                "FROM pg_stat_activity WHERE pid = ANY (%s)",
                left,
            )
            self.findings.append(Finding("connections are left behind", str(told)))
        if locks := server.execute("SELECT pid FROM pg_locks WHERE locktype = 'advisory'"):
            self.findings.append(Finding("advisory locks are left behind", str(locks)))

    def _look_at(self, host: Host) -> None:
        left = [pid for main in host.mains for pid in of_session(main)]
        if left:
            self.findings.append(Finding("processes are left behind", f"{host.name}: {left}"))
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        if host.exits and host.exits[-1].code != 0:
            self.findings.append(Finding("a host did not stop", f"{host.name} ended with {host.exits[-1].code}"))
        for exit in host.exits[:-1]:
            if exit.code not in ENDINGS:
                self.findings.append(Finding("a host ended unasked", f"{host.name} ended with {exit.code}", at=exit.at))
        self._count_breakdowns(host)
        self._read(host.name, host.log.read_text(errors="replace"))

    def _count_breakdowns(self, host: Host) -> None:
        """A sentinel ends only where a fault has ended it."""
        breakdowns = sum(exit.code == SENTINEL_DIED for exit in host.exits)
        asked = sum(fault.kind in ("kill sentinel", "die at a point") for fault in self.faults)
        if breakdowns > asked:
            self.findings.append(Finding("a host ended unasked", f"{host.name}: {breakdowns} of its sentinels died"))

    def _read(self, name: str, log: str) -> None:
        secret = os.environ["STORM_API_KEY"]
        if secret in log:
            line = next(line for line in log.splitlines() if secret in line)
            self.findings.append(Finding("a secret in a log", f"{name}: {line[:300]}"))
        for words in BROKEN:
            if words in log:
                at = log.index(words)
                self.findings.append(Finding("a host is to blame", f"{name}: {log[max(0, at - 100) : at + 3000]}"))

    def logs(self) -> dict[str, str]:
        """What the hosts logged."""
        return {host.name: host.log.read_text(errors="replace") for host in self.hosts}


def secrets_in_rows(jobs) -> list[Finding]:
    """Rows whose error, log or result holds the secret that jobs logged and raised."""
    from django.db.models import Q

    secret = os.environ["STORM_API_KEY"]
    shown = Q(error__contains=secret) | Q(log__contains=secret) | Q(result__contains=secret)
    return [Finding("a secret in a row", "its error, log or result", job.pk) for job in jobs.filter(shown)[:3]]


def run(plan: Plan, there: Place, folder: Path) -> int:
    """Let it storm, judge, and say what came of it; gives the exit code."""
    from scheduling.models import Job

    storm = Storm(plan, there, folder)
    try:
        storm.run()
        storm.findings += secrets_in_rows(Job.objects)
        evidence = storm.evidence()
    finally:
        storm.over.set()
        storm.stop()
    found = storm.findings + invariants.judge(evidence)
    print(f"{plan.db}, seed {plan.seed}, {storm.load_ended - storm.began:.0f} s of load", flush=True)
    print(report.summary(evidence, pace.recoveries(evidence)), flush=True)
    if found:
        print(report.findings(evidence, found, storm.logs()), flush=True)
    print(f"{plan.db}: {'FAILED' if found else 'every rule held'}, seed {plan.seed}", flush=True)
    return int(bool(found))
