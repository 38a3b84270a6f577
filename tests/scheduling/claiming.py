"""Claims as the pusher does: a look, then a claim in the first lane of those that it shows."""

from __future__ import annotations

from scheduling import functions
from scheduling.cluster import claims
from scheduling.cluster.claims import Claim
from scheduling.models import Host


def take(host: Host, limit: int = 1, names: list[str] | None = None) -> list[Claim]:
    """Claim up to `limit` due jobs of the first lane."""
    known = functions.names() if names is None else names
    found = claims.look(known)
    return claims.claim(host.pk, known, found.lanes[0], limit) if found.lanes else []
