"""Opinion's payloads into rows: pure functions of what was received."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from markets.exceptions import BadAnswer, Refused
from markets.exchanges.cleaning import clean
from markets.exchanges.opinion.payloads import Detail, Envelope, Listing, MarketPayload, TopicPayload
from markets.exchanges.reading import MAX_SAID, first, read
from markets.exchanges.reading import rejected as _reject
from markets.exchanges.rows import Kind, MarketRow, Page, Rejected, Status

STATUS: dict[int, Status] = {1: "open", 2: "open", 3: "closed", 4: "resolved", 5: "closed", 6: "closed"}
UNRELIABLE = (1, 2)
"""A topic says these of itself whatever its children do."""


def result(payload: Any, *, path: str, secrets: Sequence[str] = ()) -> Any:
    """What is inside the envelope. Raises Refused where it holds an error, BadAnswer where it is none."""
    envelope = read(Envelope, payload, path)
    number = envelope.code if envelope.errno is None else envelope.errno
    if number is None:
        raise BadAnswer(f"GET {path}: the answer has neither errno nor code")
    if number != 0:
        said = clean(envelope.errmsg or envelope.msg or "", most=MAX_SAID, secrets=secrets)
        raise Refused(f"GET {path}: refused with errno {number}", errno=number, said=said)
    return envelope.result


def listing(inside: Any, *, path: str, secrets: Sequence[str] = ()) -> Page:
    """A page of the catalogue; a bad entry is rejected by itself, a bad page raises BadAnswer."""
    page = read(Listing, inside, path)
    return _page(page.entries or [], total=page.total, secrets=secrets)


def detail(inside: Any, *, path: str, secrets: Sequence[str] = ()) -> Page:
    """A single record, as a page of one entry."""
    return _page([read(Detail, inside, path).data], total=None, secrets=secrets)


def topic(entry: Any, *, secrets: Sequence[str] = ()) -> tuple[list[MarketRow], list[Rejected]]:
    """An entry of the catalogue and its children, parent first; with a bad parent its children go too."""
    try:
        payload = TopicPayload.model_validate(entry)
    except ValidationError as error:
        return [], [_rejected(entry, first(error), secrets)]
    if payload.market_type == 0 and payload.child_markets:
        return [], [_rejected(entry, "marketType: a binary market with children", secrets)]
    if payload.market_type == 1 or (payload.market_type is None and payload.child_markets is not None):
        return _categorical(payload, secrets)
    return [_row(payload, kind="binary")], []


def _categorical(payload: TopicPayload, secrets: Sequence[str]) -> tuple[list[MarketRow], list[Rejected]]:
    parent = _row(payload, kind="categorical")
    children: list[MarketRow] = []
    rejected: list[Rejected] = []
    for entry in payload.child_markets or ():
        try:
            children.append(_row(MarketPayload.model_validate(entry), kind="binary", parent=parent))
        except ValidationError as error:
            rejected.append(_rejected(entry, first(error), secrets))
    if payload.status in UNRELIABLE and children and not rejected:
        parent = _row(payload, kind="categorical", status=_overall(child.status for child in children))
    return [parent, *children], rejected


def _overall(children: Iterable[Status]) -> Status:
    """A topic trades while any child does, and is resolved when all are."""
    statuses = set(children)
    if "open" in statuses:
        return "open"
    return "resolved" if statuses == {"resolved"} else "closed"


def _row(
    payload: MarketPayload, *, kind: Kind, parent: MarketRow | None = None, status: Status | None = None
) -> MarketRow:
    return MarketRow(
        kind=kind,
        external_id=str(payload.market_id),
        parent=parent.external_id if parent else None,
        title=payload.market_title,
        status=status or STATUS[payload.status],
        volume=payload.volume,
        closes_at=payload.cutoff_at or (parent.closes_at if parent else None),
        resolved_at=payload.resolved_at,
        yes_token=payload.yes_token_id,
        no_token=payload.no_token_id,
        slug=payload.slug,
        labels=payload.labels,
    )


def _page(entries: list[Any], *, total: int | None, secrets: Sequence[str]) -> Page:
    rows: list[MarketRow] = []
    rejected: list[Rejected] = []
    for entry in entries:
        good, bad = topic(entry, secrets=secrets)
        rows += good
        rejected += bad
    return Page(rows=tuple(rows), rejected=tuple(rejected), length=len(entries), total=total)


def _rejected(entry: Any, reason: str, secrets: Sequence[str]) -> Rejected:
    return _reject(entry, reason, name="marketId", secrets=secrets)
