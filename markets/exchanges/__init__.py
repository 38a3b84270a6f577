"""How exchanges are talked to: the wire, their payloads, and one client for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from markets.exceptions import UnknownExchange
from markets.exchanges.opinion.client import OpinionClient
from markets.exchanges.rows import Kind, Page
from markets.exchanges.wire import Wire


class Catalogue(Protocol):
    """What a sync of markets asks of an exchange's client."""

    wire: Wire

    def pages(self) -> Iterator[Page]:
        """Every page of what can be traded, each market once."""

    def market(self, kind: Kind, external_id: str) -> Page | None:
        """One market again, with its children; None where it is gone."""

    def close(self) -> None:
        """Let the connections go."""


CATALOGUES: dict[str, Callable[[], Catalogue]] = {"opinion": OpinionClient}
"""The exchanges whose markets can be synced."""


def catalogue(exchange: str) -> Catalogue:
    """A client for the exchange of that name, as the settings describe it; raises UnknownExchange."""
    if exchange not in CATALOGUES:
        raise UnknownExchange(f"no markets can be synced from {exchange!r}; known: {', '.join(sorted(CATALOGUES))}")
    return CATALOGUES[exchange]()
