"""The page is written from what was measured."""

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import page, results

FACTS = {"about": "how", "kinds": {"default": "once"}, "bulk": "one call", "versions": {"package": "1.2.3"}}
MACHINE = {"CPU": "2 x that", "Redis": "7", "PostgreSQL": {"server_version": "18", "fsync": "on"}}


def answer(**more):
    return {"at": "2026-01-02 03:04", "commit": "abc", "scale": 1, "facts": FACTS, "machine": MACHINE, **more}


def drained(rate):
    return answer(rows=[{"kind": "default", "per_second": rate, "jobs": 1000}])


@pytest.fixture
def written(tmp_path):
    kept = tmp_path / "results"
    results.write(kept, "drain", "ours", drained(30_000.0))
    results.write(kept, "drain", "awa-64", drained(10_000.0))
    results.write(kept, "drain", "celery", answer(error="SystemFailed: no redis-server\nmore"))
    page.write(results.read(kept), tmp_path)
    return tmp_path


def line(written, beginning):
    lines = (written / "benchmarks.md").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"| {beginning}"))


def test_a_target_shows_figure_peer_ratio_bound_and_whether_it_is_reached(written):
    row = line(written, "mutations, exactly once, beside awa-pg")
    assert row.endswith("| 30,000/s | 10,000/s | 3.00 | at least 2 x | yes |")


def test_what_was_not_measured_says_so(written):
    assert line(written, "commit to start, idle, p50").endswith("| not measured |")


def test_a_peer_shows_how_many_times_as_fast_ours_is(written):
    assert line(written, "awa-pg, 2 x 64 | once").endswith("| 10,000 | 1,000 | 3 x |")


def test_a_system_that_failed_is_a_row_with_its_error(written):
    assert "failed: SystemFailed: no redis-server" in line(written, "Celery, Redis")


def test_versions_machine_settings_and_commit_are_told(written):
    text = (written / "benchmarks.md").read_text()
    assert all(words in text for words in ("package 1.2.3", "2 x that", "fsync on", "abc", "make bench-peers"))


def test_the_chart_has_a_bar_for_each_drain(written):
    chart = ElementTree.parse(written / "benchmarks.svg")
    widths = [float(bar.get("width")) for bar in chart.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(widths[1] * 3, rel=0.01)
