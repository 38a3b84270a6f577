"""Charts over time, and of depth, as SVG that the server draws; numbers beside them, times below them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling.admin import display

WIDTH, HEIGHT, BARS_HEIGHT = 960, 150, 50
FINEST = 2
"""Of points that are less than so far apart the last one is drawn."""
MARGIN = 0.08
"""Of what a line spans, above and below it."""
ROW, GAP = 18, 6

Point = tuple[datetime, Decimal]


@dataclass(frozen=True, kw_only=True)
class Span:
    """The time that a chart shows."""

    since: datetime
    until: datetime

    def x(self, at: datetime) -> float:
        """Where a moment is, from 0 to WIDTH."""
        length = (self.until - self.since) / timedelta(microseconds=1) or 1.0
        return min(max((at - self.since) / timedelta(microseconds=1) / length, 0.0), 1.0) * WIDTH


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that happened, drawn on a line."""

    at: datetime
    kind: str
    """It picks the colour: success or failed."""
    weight: float
    """From 0 to 1: how large it is drawn."""
    words: str


def line(
    points: Sequence[Point],
    span: Span,
    *,
    label: str,
    number: Callable[[Decimal], str],
    marks: Sequence[Mark] = (),
) -> SafeString | str:
    """Values over time (the oldest first) as a line, with marks on it; empty where there are fewer than two."""
    if len(points) < 2:
        return ""
    values = [value for _at, value in points]
    low, high = min(values), max(values)
    spread = float(high - low) or float(abs(high)) or 1.0
    base, whole = float(low) - spread * MARGIN, spread * (1 + 2 * MARGIN)

    def y(value: Decimal) -> float:
        return HEIGHT * (1 - (float(value) - base) / whole)

    drawn = {int(span.x(at) / FINEST): (span.x(at), y(value)) for at, value in points}
    path = " ".join(f"{across:.1f},{down:.1f}" for _place, (across, down) in sorted(drawn.items()))
    times = [at for at, _value in points]
    dots = format_html_join(
        "",
        '<g><title>{}</title><path class="mark mark-{}" d="M{} {}h0.01" stroke-width="{}"></path></g>',
        (
            (
                mark.words,
                mark.kind,
                f"{span.x(mark.at):.1f}",
                f"{y(points[place][1]):.1f}",
                f"{5 + 9 * mark.weight:.1f}",
            )
            for mark in marks
            for place in (max(bisect_right(times, mark.at) - 1, 0),)
        ),
    )
    drawing = format_html(
        '<svg class="chart tall" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img" aria-label="{2}">'
        '<line class="axis" x1="0" x2="{0}" y1="{1}" y2="{1}"></line>'
        '<polyline class="line-of-prices" points="{3}"></polyline>{4}</svg>',
        *(WIDTH, HEIGHT, label, path, dots),
    )
    return _beside(drawing, number(high), number(low))


def bars(
    columns: Sequence[tuple[datetime, datetime, Mapping[str, Decimal]]],
    span: Span,
    *,
    label: str,
    number: Callable[[Decimal], str],
) -> SafeString | str:
    """Amounts of stretches of time as columns, parts on top of each other; empty where there is none.

    The parts' names pick their colours, as those of marks do.
    """
    most = max((sum(parts.values(), Decimal(0)) for _from, _to, parts in columns), default=Decimal(0))
    if not most:
        return ""
    drawn = format_html_join("", "{}", ((_column(*column, span, most, number),) for column in columns))
    drawing = format_html(
        '<svg class="chart low" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img" aria-label="{2}">'
        '<line class="axis" x1="0" x2="{0}" y1="{1}" y2="{1}"></line>{3}</svg>',
        *(WIDTH, BARS_HEIGHT, label, drawn),
    )
    return _beside(drawing, number(most), "0")


def below(span: Span) -> SafeString:
    """The first and the last moment of a chart, in the reader's zone."""
    return format_html(
        '<div class="scale"><span>{}</span><span>{}</span></div>',
        *(display.clock_time(span.since), display.clock_time(span.until)),
    )


def depth(offered: Sequence[tuple[str, Decimal, Decimal]], number: Callable[[Decimal], str]) -> SafeString | str:
    """What is offered within some distances, as rows: (distance, bids, asks); empty where nothing is."""
    most = max((amount for _words, *sides in offered for amount in sides), default=Decimal(0))
    if not most:
        return ""
    half = WIDTH / 2
    rows = format_html_join(
        "",
        '<g><title>{0}: {6} bid, {7} asked</title>'
        '<rect class="bar bar-success" x="{1}" y="{3}" width="{2}" height="{4}"></rect>'
        '<rect class="bar bar-failed" x="{8}" y="{3}" width="{5}" height="{4}"></rect></g>',
        (
            (words, f"{half - left:.1f}", f"{left:.1f}", place * (ROW + GAP), ROW, f"{right:.1f}",
             number(bids), number(asks), half)
            for place, (words, bids, asks) in enumerate(offered)
            for left, right in ((float(bids / most) * half, float(asks / most) * half),)
        ),
    )  # fmt: skip
    height = len(offered) * (ROW + GAP)
    drawing = format_html(
        '<svg class="chart" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img" aria-label="{2}">{3}'
        '<line class="axis" x1="{4}" x2="{4}" y1="0" y2="{1}"></line></svg>',
        *(WIDTH, height, "What is bid and asked near the mid", rows, half),
    )
    labels = format_html_join("", "<span>{}</span>", ((words,) for words, _bids, _asks in offered))
    return format_html('<div class="plot"><div class="plot-y spread">{}</div>{}</div>', labels, drawing)


def _column(
    start: datetime, end: datetime, parts: Mapping[str, Decimal], span: Span, most: Decimal, number: Any
) -> SafeString:
    left, right, top = span.x(start), span.x(end), float(BARS_HEIGHT)
    pieces = []
    for kind, amount in parts.items():
        height = float(amount / most) * (BARS_HEIGHT - 2)
        top -= height
        pieces.append((kind, f"{left:.1f}", f"{top:.1f}", f"{max(right - left - 1, 1):.1f}", f"{height:.1f}"))
    rects = format_html_join(
        "", '<rect class="bar bar-{}" x="{}" y="{}" width="{}" height="{}"></rect>', (piece for piece in pieces)
    )
    return format_html("<g><title>{}</title>{}</g>", number(sum(parts.values(), Decimal(0))), rects)


def _beside(drawing: SafeString, high: str, low: str) -> SafeString:
    return format_html(
        '<div class="plot"><div class="plot-y"><span>{}</span><span>{}</span></div>{}</div>', high, low, drawing
    )
