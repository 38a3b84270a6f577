"""The app that hosts run in a storm."""

import os

from django.apps import AppConfig


class StormConfig(AppConfig):
    name = "tests.chaos.storm"
    label = "storm"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """A host may be told to pass for one of another machine: it is then judged by its heartbeat alone."""
        from scheduling.cluster import process

        if machine := os.environ.get("STORM_MACHINE"):
            process.machine = lambda: f"{machine}/pid:[1]"
