"""Checks of the project: its database, its tables, its settings."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core import checks as django_checks
from django.db import Error as DatabaseError
from django.db.migrations.executor import MigrationExecutor

from scheduling import clock
from scheduling.checks import check_settings
from scheduling.cluster.errors import first_line
from scheduling.cluster.facts import Facts
from scheduling.cluster.findings import ERROR, WARNING, Finding
from scheduling.words import count


def own_settings() -> list[Finding]:
    """Settings of scheduling's own that leave nothing else to be told."""
    return [_of(message) for message in check_settings() if message.id in ("scheduling.E001", "scheduling.E005")]


def database(facts: Facts) -> Iterator[Finding]:
    """The database does not answer."""
    try:
        with clock.database().cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        yield Finding(
            code="database_away",
            what=f"it does not answer: {first_line(error)}",
            where="DATABASE_URL",
            mend="start the database, or put DATABASE_URL right",
        )


def migrations(facts: Facts) -> Iterator[Finding]:
    """Tables of an older release."""
    executor = MigrationExecutor(clock.database())
    ours = [leaf for leaf in executor.loader.graph.leaf_nodes() if leaf[0] in ("scheduling", "django_q")]
    if missing := executor.migration_plan(ours):
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _backwards in missing[:5])
        yield Finding(
            code="unmigrated",
            what=f"{count(len(missing), 'migration')} not applied: {names}",
            where="the database",
            mend="manage.py migrate",
        )


def settings_in_use(facts: Facts) -> Iterator[Finding]:
    """Settings that are fine on a developer's machine only."""
    machines = {host.machine for host in facts.living}
    if settings.DEBUG and len(machines) > 1:
        yield Finding(
            code="debug",
            what=f"it is on, with hosts on {len(machines)} machines: errors show code and settings to anybody",
            where="DEBUG",
            mend="set DEBUG=0 in the environment",
        )
    if not settings.DEBUG and "*" in settings.ALLOWED_HOSTS:
        yield Finding(
            code="any_host",
            severity=WARNING,
            what="any Host header is believed, and so gets into links that are sent",
            where="ALLOWED_HOSTS",
            mend="name the site's own hosts in ALLOWED_HOSTS",
        )


def checks(facts: Facts) -> Iterator[Finding]:
    """What Django's own checks say, ours among them; with DEBUG off also those for production."""
    for message in django_checks.run_checks(include_deployment_checks=not settings.DEBUG):
        if message.level >= django_checks.WARNING and not message.is_silenced():
            yield _of(message)


def _of(message: django_checks.CheckMessage) -> Finding:
    return Finding(
        code=message.id or "check",
        severity=ERROR if message.level >= django_checks.ERROR else WARNING,
        what=str(message.msg).strip(),
        where=str(message.obj or "settings"),
        mend=str(message.hint or "see manage.py check --deploy"),
    )
