"""Imported by the hosts of a test: each is on a machine of its own, and is dead to the others after 2 s of silence."""

import os

from django.conf import settings

from scheduling.cluster import process
from scheduling.conf import conf

_name = f"boot of {os.getpid()}/1"
process.machine = lambda: _name
settings.SCHEDULING = {"host_dead_after": 2, "beat_seconds": 0.5}
conf.cache_clear()
