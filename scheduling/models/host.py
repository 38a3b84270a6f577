"""A host: one start of a cluster, known by its row and never by its name or pid, which repeat."""

from __future__ import annotations

import uuid

from django.db import models

from scheduling.models.fields import JSONText


class HostQuerySet(models.QuerySet["Host"]):
    """The vocabulary of hosts."""

    def running(self) -> HostQuerySet:
        """Those that have not been ended, by themselves or by another host that found them dead."""
        return self.filter(ended_at=None)


class Host(models.Model):
    """A running (or ended) cluster: its sentinel process, and when it was last heard of."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    hostname = models.CharField(max_length=255)
    machine = models.CharField(max_length=100, help_text="Which start of which machine: its boot id.")
    pid = models.IntegerField(help_text="The sentinel's process id on that machine.")
    pid_started = models.BigIntegerField(help_text="When that process began, in clock ticks since the boot.")
    workers = models.IntegerField(default=0)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(help_text="PostgreSQL only: on SQLite its process is looked at.")
    functions = JSONText(default=list, editable=False, help_text="The functions that it knows.")
    pools = JSONText(null=True, editable=False, help_text="The pools that it serves; null: all.")
    clock_ahead = models.FloatField(default=0, help_text="By how many seconds its clock is ahead of the database's.")
    asleep = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Whether it is to be woken."
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = HostQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["id"], name="host_running", condition=models.Q(ended_at=None))]

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"
