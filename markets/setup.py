"""The exchanges named in the settings, as rows."""

from __future__ import annotations

from django.db import connections, router

from markets import conf
from markets.models import Exchange

TITLES = {"opinion": "Opinion", "polymarket": "Polymarket", "kalshi": "Kalshi"}


def add_exchanges(*, using: str) -> None:
    """Add a row for each exchange of EXCHANGES that has none; rows that are there stay as they are.

    Nothing is done while the table is missing, as where another app alone is being migrated.
    """
    there = Exchange._meta.db_table in connections[using].introspection.table_names()
    if not there or not router.allow_migrate_model(using, Exchange):
        return
    rows = [Exchange(id=name, title=TITLES.get(name, name.title())) for name in conf.exchanges()]
    Exchange.objects.using(using).bulk_create(rows, ignore_conflicts=True)
