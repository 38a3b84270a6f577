"""The attempts of a job.

The last one lives in the job's own row, so that an ordinary run writes one row and not two; one that was
followed by another is kept as a PastAttempt. `Attempt` is the view over both (made by migration
0002): all of them.
"""

from __future__ import annotations

from django.db import models

from scheduling.models.job import Job


class PastAttempt(models.Model):
    """An attempt that failed and was followed by another."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="past_attempts")
    number = models.IntegerField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField()
    host_id = models.BigIntegerField(null=True)
    process = models.IntegerField(null=True)
    error = models.TextField()
    log = models.TextField(default="")

    class Meta:
        constraints = [models.UniqueConstraint(name="pastattempt_number", fields=["job", "number"])]

    def __str__(self) -> str:
        return f"{self.job_id}.{self.number}"


class Attempt(models.Model):
    """One attempt: when, how long, where, and what came of it. Read only: it is a view.

    number       from 1
    started_at   when its body began; None: it was claimed, and has not begun
    finished_at  None: it has not ended
    host         the host that ran it, and `process` the worker's process id there
    error        with its traceback; "" for none
    log          what it logged: the last 64 KiB, without secrets
    """

    id = models.CharField(primary_key=True, max_length=40)
    job = models.ForeignKey(Job, on_delete=models.DO_NOTHING, related_name="attempts")
    number = models.IntegerField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    host = models.ForeignKey("scheduling.Host", null=True, on_delete=models.DO_NOTHING, related_name="+")
    process = models.IntegerField(null=True)
    error = models.TextField()
    log = models.TextField()

    class Meta:
        managed = False
        db_table = "scheduling_attempt"
        ordering = ["number"]

    def __str__(self) -> str:
        return self.id
