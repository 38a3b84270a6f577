"""The main process of a cluster: starts the sentinel, passes signals on, and tells the supervisor how it ended."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import uuid
from multiprocessing.connection import wait
from typing import Any

import django_q.cluster
from django.db import connections

from scheduling.cluster import broker  # noqa: F401 - django-q2 imports it in the sentinel, all over what main holds
from scheduling.cluster.packets import Cell, Flag, PacketQueue
from scheduling.cluster.process import rename
from scheduling.cluster.sentinel import JobSentinel
from scheduling.cluster.sharing import share_memory

logger = logging.getLogger("scheduling")

SENTINEL_DIED = 70  # EX_SOFTWARE: a supervisor is to start the cluster again
LOOK = 0.2  # seconds

_fork = multiprocessing.get_context("fork")


def run() -> int:
    """Run a cluster until it is told to stop (SIGTERM or SIGINT; a second one shortens the grace to 5 s).

    Gives the exit code 0 after a stop; where the sentinel ended unasked it ends this process with 70. All other
    processes of the cluster die with their parents.
    """
    install()
    keep_connections()
    rename("main")
    started, stopping = Flag(), Flag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set(min(stopping.level + 1, 2)))
    sentinel = _fork.Process(target=JobSentinel, args=(os.getpid(), stopping, started, uuid.uuid4()), name="sentinel")
    share_memory()
    sentinel.start()
    logger.info("cluster.started pid=%s sentinel=%s", os.getpid(), sentinel.pid)
    while sentinel.is_alive():
        wait([sentinel.sentinel], timeout=LOOK)
    if stopping.is_set() and sentinel.exitcode == 0:
        logger.info("cluster.stopped pid=%s", os.getpid())
        return 0
    logger.error("cluster.died pid=%s: its sentinel ended unasked (exit %s)", os.getpid(), sentinel.exitcode)
    logging.shutdown()
    os._exit(SENTINEL_DIED)  # at once: on a busy machine the interpreter's own goodbye takes longer than the 1 s


def install() -> None:
    """Put our lock-free queue, event and value where django-q2's cluster takes them from, and quiet its log.

    It writes a line for each message that a worker gets, whatever its `log_level` says where logging is set up.
    """
    module: Any = django_q.cluster
    module.Queue, module.Event, module.Value = PacketQueue, Flag, Cell
    logging.getLogger("django-q").setLevel(logging.WARNING)


def keep_connections() -> None:
    """Keep connections open between jobs: django-q2 closes those that are older than CONN_MAX_AGE."""
    for connection in connections.all():
        connection.settings_dict["CONN_MAX_AGE"] = None
        connection.close()
