"""Failpoints do what their files say, and next to nothing without the variable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import timeit

import pytest

from scheduling.cluster import failpoints
from tests.chaos.points import Points

HITS = """
import time
from scheduling.cluster import failpoints
for _ in range(5):
    failpoints.hit("x")
    print(time.monotonic(), flush=True)
"""
STEP = "if failpoints.on: failpoints.hit('x')"


@pytest.fixture
def points(tmp_path):
    return Points(tmp_path / "points")


def start(points):
    """A process that comes to the point x five times, and prints when it has passed it."""
    return subprocess.Popen(
        [sys.executable, "-c", HITS],
        env=os.environ | {failpoints.VARIABLE: str(points.folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(points):
    process = start(points)
    said, errors = process.communicate(timeout=10)
    return process.returncode, len(said.split()), errors


def test_a_point_is_off_without_the_variable_and_costs_under_100_ns():
    assert not failpoints.on
    loops = 100_000
    best = min(timeit.repeat(STEP, globals={"failpoints": failpoints}, number=loops, repeat=10))
    assert best / loops < 100e-9


def test_a_point_that_is_not_armed_does_nothing(points):
    assert outcome(points)[:2] == (0, 5)


@pytest.mark.parametrize(("wanted", "code"), [("kill", -signal.SIGKILL), ("exit", 3), ("raise", 1), ("nonsense", 1)])
def test_an_armed_point_ends_its_process(points, wanted, code):
    points.arm("x", wanted)
    assert outcome(points)[0] == code


def test_a_word_that_is_none_is_told(points):
    points.arm("x", "nonsense")
    assert "'nonsense' is none of kill, stop" in outcome(points)[2]


def test_the_third_time_only_over_all_processes(points):
    points.arm("x", "kill@8")
    assert outcome(points)[:2] == (0, 5)
    assert outcome(points)[:2] == (-signal.SIGKILL, 2)
    assert points.hits("x") == 8
    assert outcome(points)[0] == 0
    points.arm("x", "kill@3")
    assert outcome(points)[0] == -signal.SIGKILL


def test_a_process_sleeps_for_as_long_as_it_is_told(points):
    points.arm("x", "sleep=0.2@2")
    first, second = map(float, start(points).communicate(timeout=10)[0].split()[:2])
    assert 0.2 <= second - first < 2


def test_a_process_that_pauses_is_seen_and_goes_on_when_it_is_told_to(points):
    points.arm("x", "pause@2")
    process = start(points)
    assert points.reached("x") == process.pid
    points.resume("x", process.pid)
    assert process.communicate(timeout=10)[0].count("\n") == 5


def test_a_process_stops_until_it_is_told_to_go_on(points):
    points.arm("x", "stop@2")
    process = start(points)
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=10)[0].count("\n") == 5
