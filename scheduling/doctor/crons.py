"""Checks of crons: broken rows, and what the code says that the rows do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from django.apps import apps

from scheduling import crons
from scheduling.cluster.facts import Facts
from scheduling.cluster.findings import ERROR, WARNING, Finding
from scheduling.models import Cron
from scheduling.words import last_line

MOST = 1000


def broken(facts: Facts) -> Iterator[Finding]:
    """Crons whose row cannot be read: they tick no more."""
    for cron in Cron.objects.filter(retired_at=None).exclude(broken="").order_by("key")[:MOST]:
        yield Finding(
            code="cron_broken",
            what=last_line(cron.broken),
            where=f"cron {cron.key}",
            mend="put it right in the admin, or in crons.py with manage.py crons sync; "
            f"then: manage.py crons resume {cron.key}",
        )


def unsynced(facts: Facts) -> Iterator[Finding]:
    """Crons that an app's crons.py declares otherwise than was last written."""
    rows = {cron.key: cron for cron in Cron.objects.all()}
    declared = crons.declarations()
    for name, declaration in declared.items():
        row = rows.get(name)
        if row is None:
            yield _unsynced(name, "is declared in code, and not written yet: it does not tick", ERROR)
        elif row.declared != asdict(declaration):
            yield _unsynced(name, "has been changed in code since it was written", WARNING)
    for name, row in rows.items():
        if name not in declared and row.declared and not row.retired_at and row.app in apps.app_configs:
            yield _unsynced(name, "is declared in code no more, and still ticks", WARNING)


def _unsynced(name: str, what: str, severity: str) -> Finding:
    return Finding(
        code="cron_unsynced",
        severity=severity,
        what=f"it {what}",
        where=f"cron {name}",
        mend="manage.py crons sync (as migrate does)",
    )
