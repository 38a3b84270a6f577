"""The project's settings with the app of the storm in the place of markets, and leases short enough for a storm."""

import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as PROJECT

INSTALLED_APPS = [*(app for app in PROJECT if not app.startswith("markets.")), "tests.chaos.storm.apps.StormConfig"]
SCHEDULING = {"shutdown_grace": 5, "host_dead_after": float(os.environ.get("STORM_DEAD_AFTER", "6")), "beat_seconds": 1}
