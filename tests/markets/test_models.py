"""The names of a market that others rely on."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from markets.models import Market

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def make(**changed):
    fields = {
        "exchange_id": "opinion",
        "kind": "binary",
        "external_id": "7",
        "title": "Will it?",
        "status": "open",
        "volume": Decimal("12.5"),
        "closes_at": NOON,
        "resolved_at": None,
        "yes_token": "1" * 77,
        "no_token": None,
    }
    return Market.objects.create(**fields | changed)


def test_a_market_has_the_names_that_others_rely_on():
    topic = make(kind="categorical")
    market = Market.objects.get(pk=make(parent=topic, status="resolved", resolved_at=NOON).pk)
    assert (market.exchange_id, market.exchange.pk, market.parent, market.external_id) == (
        "opinion",
        "opinion",
        topic,
        "7",
    )
    assert (market.title, market.status, market.volume) == ("Will it?", "resolved", Decimal("12.5"))
    assert (market.closes_at, market.resolved_at, market.yes_token, market.no_token) == (NOON, NOON, "1" * 77, None)


@pytest.mark.parametrize("wrong", [{"kind": "scalar"}, {"status": "paused"}])
def test_the_database_refuses_other_kinds_and_states(wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        make(**wrong)


@pytest.mark.parametrize("state", ["open", "closed", "resolved"])
@pytest.mark.parametrize("kind", ["binary", "categorical"])
def test_these_are_all_taken(kind, state):
    assert make(kind=kind, status=state).pk
