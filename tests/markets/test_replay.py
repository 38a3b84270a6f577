"""Answers that were recorded at the real exchange go in as they are."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from markets.exchanges.decoding import decode
from markets.exchanges.opinion import parsing
from markets.models import Market
from markets.writing import write_page

FOLDER = Path(os.environ.get("RECORDED_ANSWERS") or settings.BASE_DIR.parent / "shared" / "reference" / "fixtures")
FILES = sorted(FOLDER.glob("opinion_market*.json"))

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not FILES, reason=f"recorded answers are not kept here, and there are none in {FOLDER}"),
]


def page_of(file):
    inside = parsing.result(decode(file.read_bytes()), path=file.name)
    read = parsing.listing if "list" in inside else parsing.detail
    return read(inside, path=file.name)


def entries_of(file):
    """Topics and their children as they were sent, with their parents' ids."""
    inside = json.loads(file.read_bytes(), parse_float=Decimal)["result"]
    for topic in inside["list"] if "list" in inside else [inside["data"]]:
        children = topic.get("childMarkets") or []
        many = topic.get("marketType") == 1
        yield ("categorical" if many else "binary", topic, None)
        yield from (("binary", child, topic) for child in children)


def write(file):
    page = page_of(file)
    assert page.rejected == ()
    return write_page(exchange="opinion", rows=page.rows, at=timezone.now())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_answer_goes_in_whole(file):
    sent = list(entries_of(file))
    assert write(file).created == len(sent) == Market.objects.count()
    for kind, entry, parent in sent:
        market = Market.objects.get(exchange_id="opinion", kind=kind, external_id=str(entry["marketId"]))
        assert market.title == entry["marketTitle"]
        assert isinstance(market.volume, Decimal) and market.volume == Decimal(entry["volume"])
        assert (market.yes_token or "", market.no_token or "") == (entry["yesTokenId"], entry["noTokenId"])
        assert (market.resolved_at is None) == (not entry.get("resolvedAt"))
        closes = entry["cutoffAt"] or (parent or {}).get("cutoffAt")
        assert (market.closes_at.timestamp() if market.closes_at else 0) == (closes or 0)
        assert (market.parent.external_id if market.parent else None) == (str(parent["marketId"]) if parent else None)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_answer_changes_nothing_the_second_time(file):
    write(file)
    again = write(file)
    assert (again.created, again.updated) == (0, 0)


def test_all_of_them_together_go_in_in_any_order():
    for file in (*FILES, *reversed(FILES)):
        write(file)
    for kind, entry, parent in (row for file in FILES for row in entries_of(file) if row[2]):
        market = Market.objects.get(kind=kind, external_id=str(entry["marketId"]))
        assert market.parent.external_id == str(parent["marketId"])


def test_a_sync_of_the_recorded_answers(following):
    from markets.sync import sync_exchange

    following(replay=FOLDER)
    result = sync_exchange("opinion")
    assert result.rejected == 0 and result.created == result.seen == Market.objects.count() > 0
    assert sync_exchange("opinion").unchanged == result.seen
