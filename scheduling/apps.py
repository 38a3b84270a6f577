"""The app that schedules and runs the project's work."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SchedulingConfig(AppConfig):
    name = "scheduling"
    verbose_name = "Scheduling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from scheduling import checks, functions  # noqa: F401 - registers the checks

        functions.discover()
        post_migrate.connect(_sync_crons, sender=self)


def _sync_crons(**_signal: object) -> None:
    """migrate writes what the apps' crons.py declare."""
    from scheduling import crons

    crons.sync()
