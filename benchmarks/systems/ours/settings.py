"""The project's settings, with the functions that are measured in the place of the markets."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [
    *[app for app in _APPS if not app.startswith("markets.")],
    "benchmarks.systems.ours.apps.BenchmarksConfig",
]
