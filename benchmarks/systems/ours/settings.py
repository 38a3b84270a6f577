"""The project's settings, with the functions that are measured in the place of the markets."""

import sys

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [
    *[app for app in _APPS if not app.startswith("markets.")],
    "benchmarks.systems.ours.apps.BenchmarksConfig",
]

# The tests' requirement, not the project's: django-q2 would load it where it happens to be installed.
sys.modules.setdefault("psutil", None)  # type: ignore[arg-type]
