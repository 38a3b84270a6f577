"""A job: the queue and its history in one table.

pending ──claim──▶ in_progress ──finish──▶ success
   ▲                 │  │  └─────fail────▶ failed
   └─retry, release──┘  └────cancel──────▶ canceled        (skipped: a cron's tick that did not run)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Left

from scheduling.models.fields import JSONText

if TYPE_CHECKING:
    from scheduling.models.attempt import Attempt
    from scheduling.models.batch import Batch


class State(models.TextChoices):
    """The states of a job; the last four are final.

    pending      waits for its time, a worker, a place in its pool, a token, or its next attempt
    in_progress  claimed by a host; `started_at` is when its body began
    success      its result is stored
    failed       its error is stored, and it is not tried again
    canceled     by somebody, or "expired"; what came of it afterwards was dropped
    skipped      ticks of a cron that did not run; `result` says how many
    """

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


FINAL = (State.SUCCESS, State.FAILED, State.CANCELED, State.SKIPPED)
_is_final = Q(state__in=FINAL)


class JobQuerySet(models.QuerySet["Job"]):
    """The vocabulary of states."""

    def pending(self) -> JobQuerySet:
        """Waiting: for its time, for a worker, or for its next attempt."""
        return self.filter(state=State.PENDING)

    def running(self) -> JobQuerySet:
        """Claimed by a host."""
        return self.filter(state=State.IN_PROGRESS)

    def unfinished(self) -> JobQuerySet:
        """Pending or running."""
        return self.filter(state__in=(State.PENDING, State.IN_PROGRESS))

    def finished(self) -> JobQuerySet:
        """Ended, in whatever way."""
        return self.filter(_is_final)

    def in_pool(self, name: str) -> JobQuerySet:
        """Of a pool, whatever the value of its key."""
        begins = Left("pool", len(name) + 1)  # no LIKE: on SQLite it makes no difference between "a" and "A"
        return self.alias(begins=begins).filter(Q(pool=name) | Q(begins=f"{name}/"))


class Job(models.Model):
    """One piece of work: what to run, when, and what came of it.

    It is read, and steered by the scheduler's verbs: a save() is refused. Of its columns these are public:

        id           a positive integer
        name         the registered function
        args         its arguments by keyword, checked and coerced
        state        see State
        run_at       when it is due; between attempts, when the next one is
        priority     -100 to 100
        key          None: it has none
        created      on what a scheduling call gives back: False where the key's job was there already
        attempt      the number of the attempt that runs or ran last; 0: none has begun
        started_at   when the last attempt's body began
        finished_at  when the job ended; None: it has not
        result       what the function gave back, as JSON; None where it did not succeed
        error        the last attempt's, with its traceback; "" after a success
        log          what the last attempt logged: its last 64 KiB, without secrets
        progress     {"done", "total", "note"} as last said, or None
        attempts     all attempts, the last one too: see Attempt
    """

    name = models.CharField(max_length=200, help_text="The registered function.")
    args = JSONText(default=dict)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    run_at = models.DateTimeField()
    priority = models.SmallIntegerField(default=0)
    lane = models.CharField(max_length=700, db_default="", help_text="Where it waits: see scheduling.lanes.")
    pool = models.CharField(max_length=260, db_default="", help_text="Its pool, and the value of the pool's key.")
    rate_limit = models.CharField(max_length=600, null=True, help_text="The limit whose tokens it takes, and the key.")
    tokens = models.FloatField(null=True, help_text="How many tokens it takes for each attempt.")
    reserved = models.BooleanField(db_default=False, help_text="Whether its tokens are taken, for the time it is due.")
    policy = JSONText(null=True, help_text="What the call said of its retry; null: as the function says.")
    on_complete = models.CharField(max_length=200, default="", help_text="The mutation that is told the end.")
    context = JSONText(null=True, help_text="Passed on to on_complete.")

    cron = models.CharField(max_length=100, null=True, help_text="The cron that made it.")
    scheduled_for = models.DateTimeField(null=True, help_text="The cron's instant; null where run by hand.")
    backfill = models.BooleanField(db_default=False, help_text="Made afterwards for a tick of the past.")
    retry_of: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        "self", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="retries"
    )

    key = models.CharField(max_length=200, null=True, help_text="Names this work among that of its function.")
    holds_key = models.BooleanField(db_default=False, help_text="Whether it is the one that stands for its key.")
    waits_for: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        "self", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    parent: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        "self", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="children"
    )
    batch: models.ForeignKey[Batch | None, Batch | None] = models.ForeignKey(
        "scheduling.Batch",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="jobs",
    )
    batch_place = models.IntegerField(null=True, help_text="Its place among the calls of its batch, from 0.")
    expires_at = models.DateTimeField(null=True, help_text="It is canceled if it has not begun by then.")

    claim = models.IntegerField(default=0, help_text="Counts claims: the fence against those that came late.")
    attempt = models.IntegerField(default=0, help_text="The number of the attempt that runs or ran last.")
    crashes = models.SmallIntegerField(default=0, help_text="How many times its worker's process died in it.")
    cut_off = models.BooleanField(
        db_default=False, help_text="An attempt of an action was cut off: nobody can say how far it came."
    )
    host = models.ForeignKey(
        "scheduling.Host",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="jobs",
    )
    process = models.IntegerField(null=True, help_text="The worker's process id.")

    woken = models.BooleanField(db_default=False, help_text="A workflow that runs is to run again at once.")
    interrupt = models.BooleanField(db_default=True, help_text="Whether a cancel is to end a body that runs.")

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, help_text="When the last attempt's body began.")
    finished_at = models.DateTimeField(null=True)
    result = JSONText(null=True)
    error = models.TextField(default="", blank=True)
    log = models.TextField(default="", blank=True, help_text="What the last attempt logged.")
    progress = JSONText(null=True)

    objects = JobQuerySet.as_manager()
    created: bool = True
    """On what a scheduling call gives back: whether it made the job."""

    if TYPE_CHECKING:
        attempts: models.Manager[Attempt]
        id: int

    class Meta:
        permissions = [("cancel_job", "Can cancel job"), ("retry_job", "Can run job again")]
        constraints = [
            models.CheckConstraint(name="job_state", condition=Q(state__in=State.values)),
            models.CheckConstraint(
                name="job_finished",
                condition=Q(_is_final, finished_at__isnull=False) | Q(~_is_final, finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="job_claimed",
                condition=~Q(state=State.IN_PROGRESS) | Q(claim__gt=0, attempt__gt=0, host__isnull=False),
            ),
            models.CheckConstraint(name="job_priority", condition=Q(priority__gte=-100, priority__lte=100)),
            models.CheckConstraint(name="job_counts", condition=Q(attempt__gte=0, attempt__lte=F("claim"))),
            models.CheckConstraint(name="job_skipped", condition=~Q(state=State.SKIPPED) | Q(cron__isnull=False)),
            models.CheckConstraint(
                name="job_backfill", condition=Q(backfill=False) | Q(cron__isnull=False, scheduled_for__isnull=False)
            ),
            models.UniqueConstraint(
                name="job_tick",
                fields=["cron", "scheduled_for"],
                condition=Q(scheduled_for__isnull=False) & ~Q(state=State.SKIPPED),
            ),
            models.UniqueConstraint(
                name="job_skipped_tick", fields=["cron", "scheduled_for"], condition=Q(state=State.SKIPPED)
            ),
            models.CheckConstraint(
                name="job_tokens",
                condition=Q(rate_limit__isnull=True, tokens__isnull=True, reserved=False)
                | Q(rate_limit__isnull=False, tokens__gte=0),
            ),
            models.CheckConstraint(
                name="job_in_batch",
                condition=Q(batch__isnull=True, batch_place__isnull=True) | Q(batch__isnull=False, batch_place__gte=0),
            ),
            models.UniqueConstraint(name="job_key", fields=["name", "key"], condition=Q(holds_key=True)),
        ]
        indexes = [
            models.Index(
                fields=["lane", "priority", "run_at", "id"],
                name="job_due",
                condition=Q(state=State.PENDING, waits_for__isnull=True),
            ),
            models.Index(
                fields=["pool"], name="job_running_in_pool", condition=Q(state=State.IN_PROGRESS) & ~Q(pool="")
            ),
            models.Index(fields=["rate_limit"], name="job_reserved", condition=Q(state=State.PENDING, reserved=True)),
            models.Index(
                fields=["expires_at"],
                name="job_expires",
                condition=Q(state=State.PENDING, expires_at__isnull=False),
            ),
            models.Index(fields=["retry_of"], name="job_retry_of", condition=Q(retry_of__isnull=False)),
            models.Index(fields=["waits_for"], name="job_waits_for", condition=Q(waits_for__isnull=False)),
            models.Index(fields=["parent"], name="job_parent", condition=Q(parent__isnull=False)),
            models.Index(fields=["host", "id"], name="job_claimed_by", condition=Q(state=State.IN_PROGRESS)),
            models.Index(fields=["cron", "-id"], name="job_of_cron", condition=Q(cron__isnull=False)),
            models.Index(
                fields=["cron"],
                name="job_unfinished_of_cron",
                condition=Q(cron__isnull=False, backfill=False, state__in=(State.PENDING, State.IN_PROGRESS)),
            ),
            models.Index(fields=["batch", "batch_place"], name="job_of_batch", condition=Q(batch__isnull=False)),
            models.Index(
                fields=["batch", "batch_place"],
                name="job_unfinished_of_batch",
                condition=Q(batch__isnull=False, state__in=(State.PENDING, State.IN_PROGRESS)),
            ),
            models.Index(
                fields=["batch", "batch_place"],
                name="job_failed_of_batch",
                condition=Q(batch__isnull=False, state=State.FAILED),
            ),
            models.Index(fields=["state", "-id"], name="job_by_state"),
            models.Index(fields=["name", "-id"], name="job_by_name"),
            models.Index(fields=["finished_at"], name="job_ended", condition=Q(finished_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.pk}"

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused: each transition is one guarded statement, and a save would overwrite what others did."""
        raise TypeError("a job is not saved: use scheduler.now(), cancel(), retry()")
