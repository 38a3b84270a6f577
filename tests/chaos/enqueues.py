"""`python -m tests.chaos.enqueues FILE COUNT`: schedule so many jobs, each in a transaction of its own."""

from __future__ import annotations

import os
import sys

import django

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from scheduling import scheduler
    from tests.chaos import deeds

    for nth in range(int(sys.argv[2])):
        scheduler.now((deeds.act, deeds.write)[nth % 2], {"file": sys.argv[1]})
