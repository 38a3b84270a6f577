"""Faults of the database and of the network before it (PostgreSQL)."""

from __future__ import annotations

import time

from tests.chaos.storm import place
from tests.chaos.storm.evidence import Fault
from tests.chaos.storm.faults import Faults, Step, wait_for


def restart_the_database(faults: Faults, fault: Fault) -> None:
    """An immediate restart of PostgreSQL, as after a crash."""
    faults.server.restart()


def end_all_connections(faults: Faults, fault: Fault) -> None:
    """pg_terminate_backend of all, some times."""
    for _ in range(faults.luck.randint(1, 4)):
        faults.server.terminate_backends()
        time.sleep(faults.luck.uniform(0, 0.5))


def refuse_connections(faults: Faults, fault: Fault) -> None:
    """The network of one host, or of all, is cut, and refuses connections for a while."""
    with faults.network(fault) as proxies:
        for proxy in proxies:
            proxy.refuse()
        time.sleep(faults.luck.uniform(0.5, 8))


def cut_connections(faults: Faults, fault: Fault) -> None:
    """Connections are reset; new ones are welcome."""
    with faults.network(fault) as proxies:
        for proxy in proxies:
            proxy.cut()


def pull_the_cable(faults: Faults, fault: Fault) -> None:
    """Nothing passes in either direction for a while, and no connection breaks."""
    with faults.network(fault) as proxies:
        for proxy in proxies:
            proxy.blackhole()
        time.sleep(faults.luck.uniform(0.5, 9))


def lose_answers_to_commits(faults: Faults, fault: Fault) -> None:
    """Transactions are committed, and the connection breaks in the place of the answer."""
    times = faults.luck.randint(1, 5)
    with faults.network(fault) as proxies:
        before = [proxy.lost for proxy in proxies]
        for proxy in proxies:
            proxy.lose_answers(times)
        wait_for(lambda: all(proxy.lost >= n + times for proxy, n in zip(proxies, before, strict=True)), 4)


def slow_network(faults: Faults, fault: Fault) -> None:
    """All takes longer for a while."""
    with faults.network(fault) as proxies:
        for proxy in proxies:
            proxy.delay(faults.luck.uniform(0.01, 0.1))
        time.sleep(faults.luck.uniform(1, 3))


def cannot_be_written(faults: Faults, fault: Fault) -> None:
    """The database is read only for a while, as after a failover."""
    with faults.server.read_only(place.NAME):
        time.sleep(faults.luck.uniform(0.5, 3))


OUTAGES: dict[Step, float] = {
    restart_the_database: 1,
    end_all_connections: 1,
    refuse_connections: 1,
    cut_connections: 1,
    pull_the_cable: 1,
    lose_answers_to_commits: 2,
    slow_network: 0.5,
    cannot_be_written: 0.5,
}
