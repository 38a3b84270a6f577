"""`manage.py check`: settings that would not do what they seem to, and what to write instead."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import connections
from pydantic import ValidationError

from scheduling.conf import conf

BROKER = "scheduling.cluster.broker.JobBroker"


@register
def check_settings(**_options: Any) -> list[CheckMessage]:
    """The settings of scheduling and those of django-q2 that it stands on."""
    return _own() or [*_django_q2(), *_order(), *_database()]


def _own() -> list[CheckMessage]:
    try:
        conf()
    except ValidationError as error:
        return [
            Error(f"SCHEDULING: {'.'.join(map(str, item['loc']))}: {item['msg']}", id="scheduling.E001")
            for item in error.errors()
        ]
    return []


def _django_q2() -> list[CheckMessage]:
    cluster: dict[str, Any] = getattr(settings, "Q_CLUSTER", {})
    wanted = {"broker_class": BROKER, "scheduler": False, "orm": "default"}
    found = [
        Error(f"Q_CLUSTER[{name!r}] is {cluster.get(name)!r}", hint=f"Write {name!r}: {value!r}.", id="scheduling.E002")
        for name, value in wanted.items()
        if cluster.get(name) != value
    ]
    if not cluster.get("ack_failures") or not cluster.get("max_attempts"):
        hint = "Write 'ack_failures': True, 'max_attempts': 1: a plain task that fails is delivered for ever otherwise."
        found.append(Error("Q_CLUSTER redelivers failed plain tasks", hint=hint, id="scheduling.E003"))
    return [*found]


def _order() -> list[CheckMessage]:
    from django.apps import apps

    labels = list(apps.app_configs)
    if "django_q" in labels and labels.index("scheduling") < labels.index("django_q"):
        return []
    hint = "Write scheduling before django_q: its qcluster command is to take the place of the other's."
    return [Error("INSTALLED_APPS has django_q before scheduling, or not at all", hint=hint, id="scheduling.E004")]


def _database() -> list[CheckMessage]:
    if conf().database not in connections.databases:
        return [Error(f"SCHEDULING['database']: no database {conf().database!r} is set up", id="scheduling.E005")]
    connection = connections[conf().database]
    if connection.vendor == "sqlite" and connection.settings_dict["OPTIONS"].get("transaction_mode") != "IMMEDIATE":
        hint = (
            "Write 'transaction_mode': 'IMMEDIATE' in its OPTIONS: reading first and then writing fails at once else."
        )
        return [Error("SQLite without IMMEDIATE transactions", hint=hint, id="scheduling.E006")]
    if connection.vendor not in ("sqlite", "postgresql"):
        return [Error(f"{connection.vendor} is not supported: use SQLite or PostgreSQL 14+", id="scheduling.E007")]
    return []
