"""Which hosts live, what each of them can run, and how far its clock is off."""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduling import clock, lanes
from scheduling.cluster import process
from scheduling.conf import conf
from scheduling.models import Host
from scheduling.options import NO_POOL


def liveness(host: Host, now: datetime) -> str:
    """alive, dead, stopped or unknown: on this machine by its process, elsewhere by its heartbeat (PostgreSQL)."""
    if host.ended_at is not None:
        return "stopped"
    machine = process.machine()
    if host.machine == machine:
        return "alive" if process.started_at(host.pid) == host.pid_started else "dead"
    if clock.database().vendor == "postgresql":
        silent = now - host.beat_at > timedelta(seconds=conf().host_dead_after)
        return "dead" if silent else "alive"
    same_boot = process.boot(host.machine) == process.boot(machine)
    return "unknown" if same_boot else "dead"


def knows(host: Host, function: str) -> bool:
    """Whether a host can run a function."""
    return function in host.functions


def serves(host: Host, pool: str) -> bool:
    """Whether a host runs jobs of a pool, as their `pool` column names it ("": those without one)."""
    return host.pools is None or (lanes.pool_name(pool) or NO_POOL) in host.pools
