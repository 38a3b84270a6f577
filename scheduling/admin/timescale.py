"""The axis of a timeline: where a moment stands, in percent, and what is written along it.

A workflow may run for a second, sleep for a month and run for another second. Where nothing but waiting fills nearly
all of the time, those long waits are folded: each takes a small fixed width, with its length written on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from scheduling.admin import display

FOLDS_FROM = 0.8  # of the time is waiting
MOST_FOLDS = 6
FOLD_WIDTH, FOLDS_WIDTH = 14.0, 60.0  # percent: of one, and of all at most
APART = 10.0  # percent between two labels
EDGE = 4.0  # percent from an edge within which a label's text is no longer centered
TICKS = 6  # on an axis without folds
INSTANT = timedelta(microseconds=1)

_S, _MIN, _H, _D = 1.0, 60.0, 3600.0, 86400.0
NICE = [
    *(base * scale for scale in (0.001, 0.01, 0.1) for base in (1, 2, 5)),
    *(n * _S for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MIN for n in (1, 2, 5, 10, 15, 30)),
    *(n * _H for n in (1, 2, 3, 6, 12)),
    *(n * _D for n in (1, 2, 7, 14, 30, 91, 182, 365)),
]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of time on the axis."""

    begin: datetime
    end: datetime
    left: float
    width: float
    folded: bool

    def at(self, moment: datetime) -> float:
        """Where a moment of it stands."""
        return self.left + self.width * ((moment - self.begin) / (self.end - self.begin))


@dataclass(frozen=True)
class Label:
    """A word on the axis."""

    at: float
    text: str
    folded: bool = False

    @property
    def side(self) -> str:
        """Which end of the text stands there: near an edge it is written away from that."""
        return "start" if self.at < EDGE else "end" if self.at > 100 - EDGE else "middle"


class Scale:
    """An axis from one moment to another; `busy` are the stretches in which something ran."""

    def __init__(self, begin: datetime, end: datetime, busy: Iterable[tuple[datetime, datetime]] = ()) -> None:
        self.begin, self.end = begin, max(end, begin + INSTANT)
        self.pieces = _pieces(self.begin, self.end, _folded(self.begin, self.end, busy))
        self._begins = [piece.begin for piece in self.pieces]

    def at(self, moment: datetime) -> float:
        """Where a moment stands, from 0 to 100; what lies outside stands at an edge."""
        moment = min(max(moment, self.begin), self.end)
        return self.pieces[bisect_right(self._begins, moment) - 1].at(moment)

    @property
    def folds(self) -> list[Piece]:
        """The stretches that are drawn shorter than they are."""
        return [piece for piece in self.pieces if piece.folded]

    def labels(self) -> list[Label]:
        """What is written along it, from the left: lengths of folds, and times since the begin or since a fold."""
        kept = [Label(self._middle(piece), display.duration(piece.end - piece.begin), True) for piece in self.folds]
        for piece in self.pieces:
            since_fold = piece.begin > self.begin
            for moment in () if piece.folded else _ticks(piece, since_fold):
                at, offset = piece.at(moment), moment - piece.begin
                if all(abs(at - label.at) >= APART for label in kept):
                    kept.append(Label(at, f"+{display.duration(offset)}" if since_fold else _offset(offset)))
        return sorted(kept, key=lambda label: label.at)

    def _middle(self, piece: Piece) -> float:
        """Where the length of a fold is written: at an edge of the axis it begins, or ends, there."""
        if piece.begin == self.begin:
            return 0.0
        return 100.0 if piece.end == self.end else piece.left + piece.width / 2


def _folded(
    begin: datetime, end: datetime, busy: Iterable[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    """The waits to be folded: those longer than all the rest, where waiting takes nearly all of the time."""
    waits, cursor = [], begin
    for since, until in sorted(busy):
        if since > cursor:
            waits.append((cursor, min(since, end)))
        cursor = max(cursor, until)
    if cursor < end:
        waits.append((cursor, end))
    whole, waited = end - begin, sum((until - since for since, until in waits), timedelta())
    if waited < FOLDS_FROM * whole or waited >= whole:
        return []
    long = [(since, until) for since, until in waits if until - since > max(whole - waited, INSTANT)]
    return long if len(long) <= MOST_FOLDS else []


def _pieces(begin: datetime, end: datetime, folded: list[tuple[datetime, datetime]]) -> list[Piece]:
    width = min(FOLD_WIDTH, FOLDS_WIDTH / len(folded)) if folded else 0.0
    rest = end - begin - sum((until - since for since, until in folded), timedelta())
    marks = sorted({begin, end, *(moment for stretch in folded for moment in stretch)})
    pieces, left = list[Piece](), 0.0
    for since, until in pairwise(marks):
        is_fold = (since, until) in folded
        share = width if is_fold else (100.0 - width * len(folded)) * ((until - since) / max(rest, INSTANT))
        pieces.append(Piece(begin=since, end=until, left=left, width=share, folded=is_fold))
        left += share
    return pieces


def _ticks(piece: Piece, since_fold: bool) -> list[datetime]:
    """Moments at round distances from where the piece begins; that itself only at the very begin."""
    length = (piece.end - piece.begin).total_seconds()
    wanted = max(piece.width / 100 * TICKS, 1.0)
    step = next(
        (nice for nice in NICE if length / nice <= wanted), NICE[-1] * max(round(length / NICE[-1] / wanted), 1)
    )
    return [piece.begin + timedelta(seconds=step * n) for n in range(since_fold, int(length / step) + 1)]


def _offset(length: timedelta) -> str:
    return display.duration(length) if length else "0"
