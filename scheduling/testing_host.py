"""`python -m scheduling.testing_host`: one host of testing.cluster(), on the database that the test names."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module


def main() -> int:
    """Set Django up on the test database, import the test's modules, and run a cluster."""
    task = json.loads(os.environ.pop("SCHEDULING_TEST_HOST"))
    import django
    from django.conf import settings

    settings.DATABASES[task["alias"]].update(task["database"])
    if task["pools"] is not None:
        settings.SCHEDULING = {**getattr(settings, "SCHEDULING", {}), "pools": task["pools"]}
    django.setup()
    for module in task["modules"]:
        import_module(module)
    from django_q.conf import Conf

    from scheduling.cluster.main import run

    Conf.WORKERS = task["workers"]
    return run()


if __name__ == "__main__":
    sys.exit(main())
