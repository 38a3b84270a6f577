"""Checks of hosts: whether any lives, what the dead left behind, whose clock is wrong."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator

from scheduling import clock
from scheduling.cluster import process
from scheduling.cluster.facts import Facts
from scheduling.cluster.findings import ERROR, WARNING, Finding
from scheduling.cluster.hosts import liveness
from scheduling.models import Cron
from scheduling.words import count, when

APART = 2.0  # seconds between a host's clock and the database's
START = "start one: manage.py qcluster"


def no_live_host(facts: Facts) -> Iterator[Finding]:
    """Nobody works."""
    if facts.living:
        return
    due = sum(waiting.jobs for waiting in facts.due)
    waits = bool(due) or Cron.objects.active().exists()
    yield Finding(
        code="no_live_host",
        severity=ERROR if waits else WARNING,
        what=f"no host is alive: nothing runs, and no cron ticks ({count(due, 'due job')} seen)",
        where="the cluster",
        mend=START,
    )


def dead(facts: Facts) -> Iterator[Finding]:
    """Hosts that are gone without having said so."""
    claims = Counter(job.host_id for job in facts.running)
    for host in facts.hosts:
        if liveness(host, facts.now) == "dead":
            yield Finding(
                code="dead_host",
                severity=ERROR if claims[host.pk] else WARNING,
                what=f"it died (started {when(host.started_at, facts.now)}) and left {count(claims[host.pk], 'claim')}",
                where=f"host {host}",
                mend="any running host settles it within 30 s" + ("" if facts.living else f"; {START}"),
            )


def gone_claims(facts: Facts) -> Iterator[Finding]:
    """Claims of hosts that have ended, or whose row is gone."""
    there = {host.pk for host in facts.hosts}
    for job in facts.running:
        if job.host_id not in there:
            known = job.name in facts.known
            cancel = f"no running host knows {job.name}: deploy it, or manage.py jobs cancel {job.id}"
            yield Finding(
                code="gone_claim",
                what=f"{job.name} is claimed by host number {job.host_id}, which has ended or is not known",
                where=f"job {job.id}",
                mend=("a running host settles it within a minute" if facts.living else START) if known else cancel,
            )


def clocks(facts: Facts) -> Iterator[Finding]:
    """Machines whose clock is apart from the database's: due times are right, but logs are not."""
    here = (f"this machine, {socket.gethostname()}", clock.ahead())
    elsewhere = [(f"host {host}", host.clock_ahead) for host in facts.living if host.machine != process.machine()]
    for where, ahead in (here, *elsewhere):
        if abs(ahead) > APART:
            yield Finding(
                code="clocks_apart",
                severity=WARNING,
                what=f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the database's",
                where=where,
                mend="let the machines' clocks be set over the network (systemd-timesyncd or chrony)",
            )


def one_machine_on_sqlite(facts: Facts) -> Iterator[Finding]:
    """SQLite is for one machine: its locks do not reach over a network."""
    if clock.database().vendor != "sqlite":
        return
    own = process.boot(process.machine())
    others = [host for host in facts.hosts if process.boot(host.machine) != own]
    names = {host.hostname for host in others} - {os.uname().nodename, socket.gethostname()}
    if names:
        yield Finding(
            code="sqlite_shared",
            what=f"hosts of other machines use the same SQLite file: {', '.join(sorted(names)[:5])}",
            where="DATABASE_URL",
            mend="move to PostgreSQL (DATABASE_URL=postgres://…), or run all workers on one machine",
        )
