"""Alerts: what is wrong, opened once and resolved once, by one guarded statement each."""

from __future__ import annotations

from django.db.models import QuerySet

from scheduling import clock
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption
from scheduling.models.alert import Alert
from scheduling.redaction import redact

LONGEST = {"key": 200, "kind": 40, "title": 200}  # characters

OPEN = """
INSERT INTO scheduling_alert (key, kind, title, detail, opened_at) VALUES (%s, %s, %s, %s, {now})
ON CONFLICT (key) WHERE resolved_at IS NULL DO NOTHING
"""


def open(key: str, *, kind: str, title: str, detail: str = "") -> bool:
    """Open an alert; False where the one of this key is open already, which stays as it is.

    `key` names what is wrong with what, such as "feed:kalshi:trades". Secrets are taken out of title and detail.
    In the caller's transaction: of two that open it at once, one does. InvalidOption for a text that is empty or
    too long (key and title: 200 characters, kind: 40).
    """
    texts = {"key": key, "kind": kind, "title": redact(title)}
    for name, text in texts.items():
        if not text or len(text) > LONGEST[name] or "\0" in text:
            raise InvalidOption(f"an alert's {name} has 1 to {LONGEST[name]} characters, not {text!r}")
    now, moment = clock.sql()
    with clock.database().cursor() as cursor:
        cursor.execute(OPEN.format(now=now), [*texts.values(), redact(detail).replace("\0", ""), *moment])
        return bool(cursor.rowcount == 1)


def resolve(key: str) -> bool:
    """Say that what an alert tells of is over; False where none of this key is open. In the caller's transaction."""
    return current().filter(key=key).update(resolved_at=clock.Now()) == 1


def current() -> QuerySet[Alert]:
    """The alerts that are open, the newest first."""
    return Alert.objects.using(conf().database).open().order_by("-opened_at", "-pk")
