"""Imported by the hosts of a test: their main process has a connection open before it forks the others."""

import os

from django.db import connection
from django.db.backends.signals import connection_created
from django.dispatch import receiver


@receiver(connection_created)
def _mark(connection, **_signal):
    connection.opened_by = os.getpid()


connection.settings_dict["CONN_MAX_AGE"] = None  # nor does its age close it
connection.ensure_connection()
