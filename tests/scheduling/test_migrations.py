"""Migrating one app alone, or ours away, on a database of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.processes


@pytest.fixture
def manage(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'fresh.sqlite3'}")

    def run(*arguments: str) -> str:
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_other_apps_may_be_migrated_first_and_ours_taken_away(manage):
    manage("migrate", "auth", "-v0")
    manage("migrate", "-v0")
    assert "sync-markets" in manage("crons", "list")
    manage("migrate", "scheduling", "zero", "-v0")
    manage("migrate", "-v0")
    assert "sync-markets" in manage("crons", "list")
