"""The app that schedules and runs the project's work."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SchedulingConfig(AppConfig):
    name = "scheduling"
    verbose_name = "Scheduling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from scheduling import checks, delivery, functions, saga, steps, workflows  # noqa: F401 - these register what they need

        functions.discover()
        post_migrate.connect(_sync, sender=self)


def _sync(using: str, **_signal: object) -> None:
    """migrate writes what the apps' crons, pools and limits declare, once our tables are all there."""
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    from scheduling import crons, limits, pools
    from scheduling.conf import conf

    executor = MigrationExecutor(connections[using])
    ours = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "scheduling"]
    if using == conf().database and not executor.migration_plan(ours):
        crons.sync()
        pools.sync()
        limits.sync()
