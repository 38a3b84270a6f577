"""Rate limits: what each allows, and how many tokens each key has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from pydantic import ValidationError as InvalidConfiguration

from scheduling import buckets
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption
from scheduling.models.fields import JSONText


class LimitKind(models.TextChoices):
    """How tokens come in."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - no password
    FIXED_WINDOW = "fixed_window"


class Limit(models.Model):
    """A rate limit: its configuration, in force for all hosts from the commit of a change.

    The columns from `refill` on are what the statements reckon with; save() sets them from the others.
    """

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=12, choices=LimitKind.choices, default=LimitKind.TOKEN_BUCKET)
    rate = models.FloatField(help_text="Tokens that come in a period.")
    period = models.DurationField()
    capacity = models.FloatField(null=True, blank=True, help_text="The most tokens there are at once; empty: the rate.")
    max_reserved = models.FloatField(
        null=True, blank=True, help_text="How many may be reserved ahead; empty: no bound."
    )
    shards = models.PositiveSmallIntegerField(default=1, help_text="Rows over which a key's tokens are spread.")
    start = models.DateTimeField(null=True, blank=True, help_text="When a window begins; empty: by chance.")
    declared = JSONText(null=True, editable=False, help_text="What the code said when it last changed.")

    refill = models.BigIntegerField(editable=False, help_text="Millionths of a token that come with each step.")
    every = models.BigIntegerField(editable=False, help_text="Microseconds from step to step.")
    shard_capacity = models.BigIntegerField(editable=False, help_text="Millionths of a token.")
    shard_reserved = models.BigIntegerField(null=True, editable=False, help_text="The same; null: no bound.")
    phase = models.BigIntegerField(null=True, editable=False, help_text="Where in its period a window begins, in µs.")

    class Meta:
        verbose_name = "rate limit"
        constraints = [
            models.CheckConstraint(name="limit_kind", condition=Q(kind__in=LimitKind.values)),
            models.CheckConstraint(
                name="limit_bounds",
                condition=Q(shards__gte=1, refill__gte=1, every__gte=1, shard_capacity__gte=0)
                & (Q(shard_reserved__isnull=True) | Q(shard_reserved__gte=0)),
            ),
            models.CheckConstraint(
                name="limit_phase", condition=Q(phase__isnull=True) | Q(kind=LimitKind.FIXED_WINDOW, phase__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def configuration(self) -> buckets.Configuration:
        """The columns as a TokenBucket or FixedWindow; InvalidOption where they cannot be one."""
        bucket = {name: getattr(self, name) for name in ("rate", "period", "capacity", "max_reserved", "shards")}
        if self.kind == LimitKind.TOKEN_BUCKET:
            return buckets.TokenBucket(**bucket)
        return buckets.FixedWindow(**bucket, start=self.start)

    @configuration.setter
    def configuration(self, config: buckets.Configuration) -> None:
        windowed = isinstance(config, buckets.FixedWindow)
        self.kind = LimitKind.FIXED_WINDOW if windowed else LimitKind.TOKEN_BUCKET
        self.start = config.start if isinstance(config, buckets.FixedWindow) else None
        for name in ("rate", "period", "capacity", "max_reserved", "shards"):
            setattr(self, name, getattr(config, name))
        self._derive(config)

    @property
    def declared_configuration(self) -> buckets.Configuration | None:
        """What the code said when it last changed; None where no code did."""
        if not self.declared:
            return None
        said = dict(self.declared)
        if said.pop("kind") == buckets.TokenBucket.__name__:
            return buckets.TokenBucket(**said)
        start = said.pop("start")
        return buckets.FixedWindow(**said, start=datetime.fromisoformat(start) if start else None)

    @property
    def terms(self) -> buckets.Terms:
        """What the statements reckon with."""
        windowed = self.kind == LimitKind.FIXED_WINDOW
        numbers = (self.refill, self.every, self.shard_capacity, self.shard_reserved, self.phase)
        return buckets.Terms(windowed, *numbers)

    def clean(self) -> None:
        """For forms: refuse what cannot be a limit, at the field that is wrong."""
        try:
            _ = self.configuration
        except InvalidOption as error:
            raise ValidationError(_by_field(error)) from error

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the configuration with what follows from it; InvalidOption where it cannot be one.

        Jobs that have reserved tokens ask for them anew, by the new configuration.
        """
        from scheduling.models import reserved

        self._derive(self.configuration)
        with transaction.atomic(using=kwargs.get("using") or conf().database):
            super().save(*args, **kwargs)
            reserved.wake(self.name, all_keys=True)

    def _derive(self, config: buckets.Configuration) -> None:
        terms = buckets.terms(config)
        self.refill, self.every, self.phase = terms.refill, terms.every, terms.phase
        self.shard_capacity, self.shard_reserved = terms.capacity, terms.reserved


def _by_field(error: InvalidOption) -> dict[str, list[str]] | str:
    """What is wrong with which field, as far as pydantic has said it."""
    cause = error.__cause__
    if not isinstance(cause, InvalidConfiguration):
        return str(error)
    return {str(item["loc"][0]): [item["msg"]] for item in cause.errors()}


class LimitLevel(models.Model):
    """The tokens of one key of a limit, or of one shard of it. A key without a row has not been used: it is full."""

    limit = models.ForeignKey(Limit, on_delete=models.CASCADE, related_name="levels", db_index=False)
    keyed = models.BooleanField(help_text="False: what is taken without a key.")
    key = models.CharField(max_length=200, blank=True)
    shard = models.PositiveSmallIntegerField()
    tokens = models.BigIntegerField(help_text="Millionths of a token, at `since`; below zero where reserved ahead.")
    since = models.BigIntegerField(help_text="Microseconds since 1970 up to which the refill is counted in.")
    taken_at = models.BigIntegerField(help_text="When a token was last taken, in microseconds since 1970.")

    class Meta:
        constraints = [models.UniqueConstraint(name="limitlevel_key", fields=["limit", "keyed", "key", "shard"])]

    def __str__(self) -> str:
        return f"{self.limit_id}:{self.key}"
