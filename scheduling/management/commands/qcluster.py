"""Runs workers: in the place of django-q2's command of the same name."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser, SystemCheckError
from django.db import Error as DatabaseError

from scheduling.conf import conf
from scheduling.exceptions import InvalidOption
from scheduling.management.output import natural
from scheduling.options import NO_POOL, pool_name

logger = logging.getLogger("scheduling")


class Command(BaseCommand):
    """`manage.py qcluster`."""

    help = "Run workers (any number of hosts may, on one database). SIGTERM stops them; a second one hurries them."

    requires_system_checks = ()  # see _check()

    def add_arguments(self, parser: CommandParser) -> None:
        """The number of workers; settings say the rest."""
        parser.add_argument(
            "--pools", type=_pools, help='serve only these pools, as a,b; "default": jobs without one (default: all)'
        )
        parser.add_argument("--workers", type=natural(1000), help="worker processes (default: QCLUSTER_WORKERS)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped: the exit code is 0. Where the cluster breaks down it is 70, where checks fail 1."""
        self._check()
        from django_q.conf import Conf

        from scheduling.cluster.main import run

        if options["pools"]:
            settings.SCHEDULING = {**getattr(settings, "SCHEDULING", {}), "pools": options["pools"]}
            conf.cache_clear()
        if options["workers"]:
            Conf.WORKERS = options["workers"]
        _add_missing_crons()
        sys.exit(run())

    def _check(self) -> None:
        """Make all system checks in a process of their own: they load the views, 1.2 MB of a cluster's memory."""
        checks = multiprocessing.get_context("fork").Process(target=self._checked)
        checks.start()
        checks.join()
        if checks.exitcode:
            sys.exit(1)

    def _checked(self) -> None:
        try:
            self.check()
        except SystemCheckError as error:
            self.stderr.write(str(error), lambda text: text)
            sys.exit(1)


def _pools(text: str) -> list[str]:
    try:
        return [name if name == NO_POOL else pool_name(name) for name in text.split(",")]
    except InvalidOption as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _add_missing_crons() -> None:
    """What crons.py declare and no migrate has written yet; what is there may be of a newer release, and is left."""
    from scheduling import crons
    from scheduling.cluster.errors import first_line

    try:
        added = crons.sync(only_add=True).added
    except DatabaseError as error:  # the cluster waits for its database, and so must its start
        logger.warning("crons.not_added: %s", first_line(error))
    else:
        logger.info("crons.added names=%s", ",".join(added) or "none")
