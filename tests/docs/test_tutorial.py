"""The tutorial is followed, word by word: its files are written and its commands are run, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scheduling.testing.processes import until
from tests.docs.test_snippets import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.skipif(os.environ.get("TEST_DB") == "postgres", reason="on SQLite")]

STEPS = re.compile(r"^```(python|console)\n((?s:.*?))^```$", re.MULTILINE)
LOOK = """
from django.contrib.auth.models import User
from django.test import Client
browser = Client(HTTP_HOST="localhost")
browser.force_login(User.objects.create_superuser("me"))
for page in ("", "scheduling/job/", "scheduling/job/1/change/", "scheduling/cron/"):
    assert browser.get(f"/admin/{page}", follow=True).status_code == 200, page
"""
NOT_HERE = ("python3 -m venv", "pip install", "createsuperuser", "runserver")  # installed already; would wait


def environment() -> dict[str, str]:
    """As in a fresh terminal, with the requirements on the path."""
    ours = ("SECRET_KEY", "DEBUG", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONPATH")
    rest = {name: value for name, value in os.environ.items() if name not in ours}
    return rest | {"PATH": f"{Path(sys.executable).parent}:{rest['PATH']}"}


class Follower:
    def __init__(self, folder: Path) -> None:
        self.folder, self.cluster = folder, None

    def write(self, block: str) -> None:
        where, _, code = block.partition("\n")
        path = self.folder / where.split()[-1]
        before = path.read_text() if where.startswith("# at the end of ") else ""
        path.write_text(f"{before}\n{code}")

    def run(self, line: str) -> str:
        if any(words in line for words in NOT_HERE):
            return ""
        if line.endswith("qcluster"):
            log = (self.folder / "cluster.log").open("wb")
            self.cluster = subprocess.Popen(
                line.split(), cwd=self.folder, env=environment(), stdout=log, stderr=log, start_new_session=True
            )
            return ""
        done = subprocess.run(
            line, shell=True, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        self.folder = self.folder / "mysite" if line.startswith("mkdir ") else self.folder
        return done.stdout

    def done(self) -> set[str]:
        """The functions of which a job has succeeded, where none has failed."""
        jobs = json.loads(self.run("python manage.py jobs list --json"))
        assert not [job for job in jobs if job["state"] == "failed"]
        return {job["name"] for job in jobs if job["state"] == "success"}

    def log(self) -> str:
        return (self.folder / "cluster.log").read_text()

    def stop(self) -> None:
        if self.cluster and self.cluster.poll() is None:
            os.killpg(self.cluster.pid, signal.SIGKILL)
            self.cluster.wait()


@pytest.fixture
def follower(tmp_path):
    (tmp_path / "market-scheduler").symlink_to(ROOT)
    follower = Follower(tmp_path)
    yield follower
    follower.stop()


def test_following_it_leads_where_it_says(follower):
    said = {}
    for language, block in STEPS.findall((ROOT / "docs" / "tutorial.md").read_text()):
        if language == "python":
            follower.write(block)
            continue
        for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
            said[line] = follower.run(line)
    assert "every 5 seconds" in said["python manage.py crons list"]
    until(lambda: follower.done() >= {"shop.place_order", "shop.send_receipt"}, 20, follower.log)
    follower.run(f"python manage.py shell -c '{LOOK}'")
    follower.cluster.send_signal(signal.SIGINT)
    assert follower.cluster.wait(40) == 0
