"""The app that follows prediction markets."""

from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class MarketsConfig(AppConfig):
    name = "markets"
    verbose_name = "Markets"

    def ready(self) -> None:
        from markets import checks  # noqa: F401 - registers itself
        from markets.models.fields import teach_sqlite

        connection_created.connect(teach_sqlite, dispatch_uid="markets.teach_sqlite")
        post_migrate.connect(_add_exchanges, sender=self, dispatch_uid="markets.add_exchanges")


def _add_exchanges(*, using: str, **_: Any) -> None:
    from markets.setup import add_exchanges

    add_exchanges(using=using)
