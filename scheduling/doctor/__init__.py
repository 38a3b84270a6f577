"""What is wrong, and how to mend it: a list of checks, each of which looks at a bounded number of rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import nullcontext

from django.db import transaction

from scheduling import clock
from scheduling.cluster import findings
from scheduling.cluster.errors import first_line
from scheduling.cluster.facts import Facts
from scheduling.cluster.findings import ERROR, Finding
from scheduling.doctor import crons, hosts, jobs, project

logger = logging.getLogger("scheduling")

Check = Callable[[Facts], Iterable[Finding]]

FIRST: list[Check] = [project.database, project.migrations]
"""Where one of these finds something, nothing else can be told."""
CHECKS: list[Check] = [
    hosts.no_live_host,
    hosts.dead,
    hosts.gone_claims,
    hosts.clocks,
    hosts.one_machine_on_sqlite,
    findings.late,
    findings.pools_over_cap,
    findings.crons_overdue,
    jobs.paused,
    jobs.pools_at_zero,
    jobs.unknown_pools,
    jobs.unknown_limits,
    jobs.unknown_functions,
    jobs.unserved_pools,
    jobs.wrong_options,
    jobs.waiting_in_vain,
    jobs.crashing,
    jobs.failed_on_complete,
    crons.broken,
    crons.unsynced,
    project.settings_in_use,
    project.checks,
]


def examine() -> list[Finding]:
    """All that is wrong, errors first. It never raises: a check that fails is a finding."""
    if broken := project.own_settings():
        return broken
    facts = Facts()
    for check in FIRST:
        if found := _run(check, facts):
            return found
    every = [finding for check in CHECKS for finding in _run(check, facts)]
    return sorted(every, key=lambda finding: finding.severity != ERROR)


def _run(check: Check, facts: Facts) -> list[Finding]:
    database = clock.database()
    try:
        # inside a caller's transaction a failed statement is to undo no more than itself
        with transaction.atomic(using=database.alias) if database.in_atomic_block else nullcontext():
            return list(check(facts))
    except Exception as error:
        name = getattr(check, "__name__", repr(check))
        logger.exception("doctor.check_failed check=%s", name)
        return [
            Finding(
                code="check_failed",
                what=f"the check itself failed: {first_line(error)}",
                where=name,
                mend="see the traceback in the log; the other checks are not touched by it",
            )
        ]
