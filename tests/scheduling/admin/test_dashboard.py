"""The landing page: what it says of feeds, jobs, crons and hosts, and what it costs."""

from __future__ import annotations

import os
import re
from datetime import timedelta

import pytest
from django.urls import reverse

from scheduling import Call, clock, crons, scheduler, testing
from scheduling.admin import paging
from scheduling.admin.pulse import pulse, throughput
from scheduling.cluster import process, rescue
from scheduling.models import Host, Job
from tests.scheduling.admin.functions import fine, loud

pytestmark = pytest.mark.django_db

INDEX, FRAGMENT = reverse("admin:index"), reverse("dashboard")
BUDGET = 13


def tile(page: str, state: str) -> str:
    found = re.search(rf'tile-{state}" [^>]*>\s*<strong>([^<]*)', page)
    assert found
    return found.group(1)


def host(**changed) -> Host:
    now = clock.now()
    values = {"hostname": "h", "machine": "another/1", "pid": 1, "pid_started": 1, "started_at": now, "beat_at": now}
    return Host.objects.create(**values | changed)


def test_queries_do_not_grow_with_rows(viewer, clock):
    crons.register("first", 60, fine)
    viewer.look(INDEX)
    few = viewer.queries
    assert few <= BUDGET
    viewer.look(FRAGMENT)
    assert viewer.queries < few
    for n in range(30):
        crons.register(f"more-{n}", 60, fine)
    scheduler.bulk([Call(fine)] * 400)
    for _ in range(3):
        testing.advance(60)
    viewer.look(INDEX)
    assert viewer.queries == few


def test_jobs_by_state_and_the_last_hour(viewer):
    scheduler.bulk([Call(fine)] * 3)
    scheduler.now(loud, {"note": "x"}, retry=False)
    testing.drain()
    scheduler.run_after(60, fine)
    page = viewer.look(INDEX)
    assert [tile(page, state) for state in ("pending", "in_progress", "success", "failed")] == ["1", "0", "3", "1"]
    assert "<strong>4</strong> ended in the last hour, 1 failed" in page
    assert '<svg class="chart"' in page


def test_counts_stop_at_ten_thousand(viewer):
    scheduler.bulk([Call(fine, run_after=60)] * (paging.MOST + 5))
    assert tile(viewer.look(INDEX), "pending") == "10,000+"


def test_throughput_looks_at_a_bounded_number(clock):
    scheduler.bulk([Call(fine)] * 30)
    testing.drain()
    clock.jump(600)
    scheduler.bulk([Call(fine)] * 3)
    testing.drain()
    seen = throughput(clock.now())
    assert (int(seen.total), seen.failed) == (33, 0)
    assert seen.minutes[-1] == {"success": 3}
    assert seen.minutes[-11] == {"success": 30}
    clock.jump(3600)
    assert int(throughput(clock.now()).total) == 0


def test_empty_states_are_said_in_words(viewer):
    page = viewer.look(INDEX)
    for words in ("No job has been scheduled yet.", "No cron is there yet.", "No host runs."):
        assert words in page


def test_the_banner_says_that_nobody_works(viewer):
    assert "No host is alive" in viewer.look(INDEX)
    own = rescue.register(2, os.getpid())
    page = viewer.look(INDEX)
    assert "No host is alive" not in page
    assert "2 workers at work" in page
    assert "badge-alive" in page
    Host.objects.filter(pk=own.pk).update(pid_started=1)
    page = viewer.look(INDEX)
    assert "No host is alive" in page
    assert "badge-dead" in page


def test_the_banner_says_that_a_due_job_waits(viewer, clock):
    scheduler.now(fine, priority=-5)
    scheduler.run_after(10**6, fine, priority=50)
    clock.jump(60)
    assert "The oldest due job" not in viewer.look(INDEX)
    clock.jump(1)
    assert "The oldest due job has waited for 1 min 1 s." in viewer.look(FRAGMENT)


def test_the_oldest_due_job_is_found_in_any_priority(clock):
    assert pulse().oldest is None
    assert pulse().lag == timedelta(0)
    late = clock.now() - timedelta(hours=1)
    for priority in (100, 3, 0, -100):
        scheduler.run_after(500, fine, priority=priority)
    assert pulse().lag == timedelta(0)
    scheduler.run_at(late, fine, priority=0)
    assert pulse().oldest == late
    assert pulse().lag == timedelta(hours=1)


def test_a_panel_is_for_those_who_may_see_its_model(as_user):
    page = as_user("hosts only", "view_host").look(INDEX)
    assert 'class="panel hosts"' in page
    assert 'class="panel jobs"' not in page
    nobody = as_user("nobody")
    assert "nothing here that you may see" in nobody.look(INDEX)
    assert "panel" not in nobody.look(FRAGMENT)


def test_nothing_is_kept_by_caches_and_nothing_runs_inline(viewer):
    answer = viewer.get(FRAGMENT)
    assert "no-store" in answer["Cache-Control"]
    page = viewer.look(INDEX)
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|\son\w+=|\sstyle=|javascript:", page)


class TestHosts:
    LIST = reverse("admin:scheduling_host_changelist")

    def badge(self, viewer) -> str:
        found = re.search(r'badge badge-(\w+)">\w+</span></td>', viewer.look(self.LIST))
        assert found
        return found.group(1)

    def test_alive_dead_and_stopped(self, viewer):
        own = rescue.register(2, os.getpid())
        assert self.badge(viewer) == "alive"
        Host.objects.filter(pk=own.pk).update(pid_started=1)
        assert self.badge(viewer) == "dead"
        Host.objects.filter(pk=own.pk).update(ended_at=clock.now())
        assert self.badge(viewer) == "stopped"

    def test_a_host_elsewhere(self, viewer):
        on_postgresql = clock.database().vendor == "postgresql"
        row = host()
        assert self.badge(viewer) == ("alive" if on_postgresql else "dead")
        Host.objects.filter(pk=row.pk).update(beat_at=clock.now() - timedelta(minutes=1))
        assert self.badge(viewer) == "dead"

    def test_another_container_of_this_machine(self, viewer):
        host(machine=process.machine().split("/")[0] + "/elsewhere")
        assert self.badge(viewer) == ("alive" if clock.database().vendor == "postgresql" else "unknown")

    def test_the_page_of_a_host_shows_what_runs_on_it(self, viewer):
        row = host()
        job = scheduler.now(fine)
        Job.objects.filter(pk=job.pk).update(
            state="in_progress", claim=1, attempt=1, host=row, started_at=clock.now() - timedelta(seconds=5)
        )
        page = viewer.look(reverse("admin:scheduling_host_change", args=[row.pk]))
        assert f"#{job.pk}<" in page
        assert viewer.queries <= BUDGET

    def test_queries_do_not_grow(self, viewer):
        host()
        viewer.look(self.LIST)
        few = viewer.queries
        for _ in range(40):
            host()
        viewer.look(self.LIST)
        assert viewer.queries == few <= BUDGET
