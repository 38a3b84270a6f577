"""All settings of scheduling, read from `settings.SCHEDULING` at the time of use.

SCHEDULING = {"host_dead_after": 30}
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from pydantic import BaseModel, ConfigDict, Field


class Conf(BaseModel):
    """The settings, their units and their defaults; an unknown name is refused by `manage.py check`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: str = "default"
    """Alias of the database that holds the jobs."""
    poll_seconds: float = Field(default=1.0, gt=0, le=5)
    """PostgreSQL: the longest wait between two looks for due work, in seconds; at most 0.2 without notifications."""
    notify: bool = True
    """PostgreSQL: whether a host that has nothing to do is woken by NOTIFY; else it looks each 0.2 seconds."""
    sqlite_poll_seconds: float = Field(default=0.02, gt=0, le=5)
    """SQLite: how soon after a look a host looks again for others' commits; how often, where no file can be watched."""
    beat_seconds: float = Field(default=5, gt=0)
    """PostgreSQL: how often a host writes that it lives, in seconds."""
    host_dead_after: float = Field(default=20, ge=2)
    """Seconds without a beat after which another host takes a host's jobs."""
    shutdown_grace: float = Field(default=30, ge=0)
    """Seconds that running jobs have to end after SIGTERM."""
    sqlite_mutation_timeout: float = Field(default=5, gt=0)
    """SQLite: seconds that a mutation without a timeout of its own may run, as all other writers wait for it."""
    async_concurrency: int = Field(default=250, ge=1, le=10_000)
    """How many async actions one worker process runs at once."""
    pools: tuple[str, ...] | None = None
    """The pools that a cluster started here serves ("default": jobs without one); None: all. `qcluster --pools`."""
    max_bytes: int = 1 << 20
    """The most that a result, or a context, may take as JSON."""
    max_argument_bytes: int = 8 << 20
    """The most that one job's arguments may take as JSON, in bytes."""
    log_bytes: int = 64 << 10
    """How many bytes of an attempt's log are kept: its last ones."""
    late_ticks: int = Field(default=1000, ge=1)
    """The most missed ticks that catch_up="all" makes up for."""


@cache
def conf() -> Conf:
    """The settings in force."""
    declared: dict[str, Any] = getattr(settings, "SCHEDULING", {})
    return Conf(**declared)


@receiver(setting_changed)
def _forget(*, setting: str, **_signal: Any) -> None:
    """A test has overridden a setting."""
    if setting == "SCHEDULING":
        conf.cache_clear()
