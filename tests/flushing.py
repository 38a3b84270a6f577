"""How a test that commits leaves the database behind: as after Django's flush, for a fraction of its CPU time.

Django truncates every table, full or not (on PostgreSQL each gets new files, and so does each of its indexes), and
then sends `post_migrate`, whose receivers write each content type and each permission anew. Here, tables with rows
are emptied, and content types and permissions stay, once a look has shown that the test left them as they were. All
other receivers are called. What `scheduling` is to write, the crons, pools and limits that the apps declare, is
written as the next test begins, and only if that wants it.

Where this cannot do the same, Django's flush is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.contrib.contenttypes.management import create_contenttypes
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.signals import post_migrate
from django.test import TransactionTestCase

KEPT = ("django_content_type", "auth_permission")
KEPT_BY = ((create_contenttypes, None), (create_permissions, "django.contrib.auth.management.create_permissions"))
DECLARED = ("scheduling_cron", "django_q_schedule", "scheduling_pool", "scheduling_limit")
LARGE = 1 << 20  # bytes; a table whose file has grown beyond them is truncated, for a file of its own
EMPTY = """
DO $$
DECLARE
    used regclass;
BEGIN
    SET LOCAL session_replication_role = replica;  -- no look at foreign keys: all of them are emptied
    FOR used IN
        SELECT oid FROM pg_class
        WHERE relname = ANY ('{%(names)s}') AND relkind = 'r' AND pg_table_is_visible(oid) AND pg_relation_size(oid) > 0
    LOOP
        IF pg_relation_size(used) > %(large)s THEN
            EXECUTE format('TRUNCATE %%s CASCADE', used);
        ELSE
            EXECUTE format('DELETE FROM %%s', used);
        END IF;
    END LOOP;
END $$
"""


class Flush:
    """The flush. `wanted` says whether the test that begins wants what the apps declare."""

    wanted = True

    def __init__(self) -> None:
        self._missing = False
        self._kept = _kept()
        names = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
        self._statements = _emptying(sorted(names - set(KEPT)))

    def before(self) -> None:
        """Write what is missing for a test that begins."""
        if self._missing and self.wanted:
            self._missing = False
            _send([apps.get_app_config("scheduling")])

    def after(self, case: TransactionTestCase) -> bool:
        """Empty the database after a test that committed; gives whether this could be done."""
        usual = case.databases == {DEFAULT_DB_ALIAS} and case.available_apps is None and not case.serialized_rollback
        if not usual or not self._statements or _kept() != self._kept:
            return False
        connection.ops.execute_sql_flush(self._statements)
        self._missing = True
        _send(config for config in apps.get_app_configs() if config.label != "scheduling" and config.models_module)
        return True

    def renewed(self) -> None:
        """Look again at what is kept, for all has been written anew."""
        self._kept, self._missing = _kept(), False

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Let tests that commit be flushed so."""
        begin, end = TransactionTestCase.__dict__["_pre_setup"], TransactionTestCase._fixture_teardown

        def before(case: type[TransactionTestCase]) -> None:
            self.before()
            begin.__func__(case)

        def after(case: TransactionTestCase) -> None:
            if not self.after(case):
                end(case)
                self.renewed()

        TransactionTestCase._pre_setup, TransactionTestCase._fixture_teardown = classmethod(before), after
        try:
            yield
        finally:
            TransactionTestCase._pre_setup, TransactionTestCase._fixture_teardown = begin, end


def remove_declared() -> None:
    """Delete all crons, pools and limits."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(";".join(f"DELETE FROM {table}" for table in DECLARED))
        else:
            for table in DECLARED:
                cursor.execute(f"DELETE FROM {table}")


def _kept() -> list[list[tuple[Any, ...]]]:
    with connection.cursor() as cursor:
        found = []
        for table in KEPT:
            cursor.execute(f"SELECT * FROM {table} ORDER BY id")
            found.append(cursor.fetchall())
    return found


def _emptying(tables: list[str]) -> list[str]:
    """The statements that empty these tables; none where the database's user may not do it so."""
    if connection.vendor != "postgresql":
        return connection.ops.sql_flush(no_style(), tables)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser')")
        if cursor.fetchone() != ("on",):
            return []
    return [EMPTY % {"names": ",".join(tables), "large": LARGE}]


def _send(configs: Iterable[AppConfig]) -> None:
    """Send `post_migrate` as a flush does, to all but those who would write what is kept."""
    for receiver, uid in KEPT_BY:
        assert post_migrate.disconnect(receiver, dispatch_uid=uid)
    try:
        for config in configs:
            post_migrate.send(
                config, app_config=config, verbosity=0, interactive=False, using=DEFAULT_DB_ALIAS, apps=apps, plan=[]
            )
    finally:
        for receiver, uid in KEPT_BY:
            post_migrate.connect(receiver, dispatch_uid=uid)
