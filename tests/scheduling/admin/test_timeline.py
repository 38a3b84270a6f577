"""The bars of a timeline: pure functions of what is known of a step."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from scheduling.admin.steps import Line
from scheduling.admin.timeline import spans, timeline
from scheduling.models import Job, PastAttempt
from tests.scheduling.admin.functions import HOSTILE

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds):
    return None if seconds is None else BEGIN + timedelta(seconds=seconds)


def line(state="success", began=0, ended=10, **more):
    given = {"depth": 0, "number": "1", "kind": "run", "name": "app.fetch"} | more
    return Line(state=state, began=at(began), ended=at(ended), **given)


def job(state, started, finished, attempt=1):
    return Job(state=state, created_at=at(0), started_at=at(started), finished_at=at(finished), attempt=attempt)


def past(number, started, finished):
    return PastAttempt(number=number, started_at=at(started), finished_at=at(finished))


def seen(one, now=20):
    """The looks of the bars, with their begins and ends in seconds."""
    bars = spans(one, at(now))
    return [(bar.look, (bar.begin - BEGIN).total_seconds(), (bar.end - BEGIN).total_seconds()) for bar in bars]


@pytest.mark.parametrize(
    ("one", "bars"),
    [
        (line(), [("success", 0, 10)]),
        (line("failed"), [("failed", 0, 10)]),
        (line("unknown"), [("unknown", 0, 10)]),
        (line("started", ended=None), [("in_progress", 0, 20)]),
        (line(kind="sleep"), [("waiting", 0, 10)]),
        (line("waiting", kind="event", ended=None), [("waiting", 0, 20)]),
        (line("retrying", ended=None, attempt=1), [("retrying", 0, 20)]),
        (line(attempt=3), [("retrying", 0, 10), ("success", 10, 10)]),
        (line("failed", attempt=3), [("retrying", 0, 10), ("failed", 10, 10)]),
        (line(kept=True), []),
        (line(kind="more", began=None, ended=None), []),
        (line("waiting", kind="workflow", ended=None), [("in_progress", 0, 20)]),
    ],
)
def test_what_is_done_in_passing(one, bars):
    assert seen(one) == bars


@pytest.mark.parametrize(
    ("its", "attempts", "bars"),
    [
        (job("success", 3, 9), [], [("waiting", 0, 3), ("success", 3, 9)]),
        (job("in_progress", 3, None), [], [("waiting", 0, 3), ("in_progress", 3, 20)]),
        (job("in_progress", None, None), [], [("waiting", 0, 20)]),
        (job("pending", None, None, 0), [], [("waiting", 0, 20)]),
        (job("canceled", None, 5, 0), [], [("waiting", 0, 5), ("canceled", 5, 5)]),
        (
            job("success", 7, 9, 3),
            [past(1, 1, 2), past(2, 4, 5)],
            [
                *[("waiting", 0, 1), ("failed", 1, 2), ("waiting", 2, 4), ("failed", 4, 5)],
                *[("waiting", 5, 7), ("success", 7, 9)],
            ],
        ),
        (job("pending", None, None, 1), [past(1, 1, 2)], [("waiting", 0, 1), ("failed", 1, 2), ("waiting", 2, 20)]),
        (
            job("success", 3, 9, 2),
            [past(1, None, 2)],
            [("waiting", 0, 2), ("failed", 2, 2), ("waiting", 2, 3), ("success", 3, 9)],
        ),
    ],
)
def test_what_is_done_by_a_job(its, attempts, bars):
    ended = None if its.finished_at is None else 10
    assert seen(line(ended=ended, job=its, past=attempts)) == bars


def test_clocks_that_are_apart_turn_no_bar_round():
    early = job("success", -3, -1)
    assert all(bar.end >= bar.begin for bar in spans(line(job=early, ended=-2), at(-5)))


def test_those_within_stand_below_and_their_step_is_drawn_thin():
    within = [line(kind="call", number="#7", depth=1), line(kind="more", depth=1, began=None, ended=None)]
    drawn = timeline([line(kind="gather", name="gather 2 calls", parts=within)], at(20))
    thin, full, none = [row.drawn for row in drawn.rows]
    assert "span-group" in thin and "span-group" not in full and none == ""
    assert [row.line.depth for row in drawn.rows] == [0, 1, 1]
    (left,) = spans(line(kind="gather"), at(20))
    assert not left.group, "nothing within it is shown: it stands for itself"


def test_bars_stand_where_their_time_is_and_are_seen_however_short():
    drawn = timeline([line(ended=25), line(began=25, ended=25), line(began=50, ended=100)], at(100))
    places = [re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', row.drawn) for row in drawn.rows]
    assert places == [[("0", "25")], [("25", "0.5")], [("50", "50")]]
    assert timeline([line(), line(began=10, ended=10)], at(10)).rows[1].drawn.count('x="99.5%" width="0.5%"') == 1


def test_each_bar_has_a_title_and_each_line_says_the_same_in_words():
    tried = line("failed", job=job("failed", 4, 9, 2), past=[past(1, 1, 2)])
    (row,) = timeline([tried], at(20)).rows
    said = "waited 1 s; attempt 1 failed after 1 s; waited 2 s; attempt 2: failed, 5 s"
    assert f'role="img" aria-label="app.fetch: {said}"' in row.drawn
    assert row.drawn.count("<title>") == row.drawn.count('<rect class="span') == 4
    assert "<title>app.fetch: attempt 1 failed after 1 s, from 2026-03-01 12:00:01 UTC</title>" in row.drawn


def test_only_looks_that_occur_are_explained():
    drawn = timeline([line(), line("failed")], at(20))
    assert [look for look, _words in drawn.legend] == ["success", "failed"]
    assert timeline([], at(20)).legend == [] and timeline([], at(20)).axis == ""


def test_names_are_escaped():
    (row,) = timeline([line(name=HOSTILE)], at(20)).rows
    assert "<script>" not in row.drawn and "<img" not in row.drawn and "&lt;script&gt;" in row.drawn
