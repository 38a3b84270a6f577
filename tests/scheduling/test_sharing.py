"""What the processes of a cluster share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scheduling.cluster import sharing

LOOK = """
import gc
from scheduling.cluster import sharing

def free_in_holes():
    info = sharing._libc.mallinfo2()
    return info.fordblks - info.keepcost

kept = [bytes(n % 3000 + 600) for n in range(3000)][::2]
before = free_in_holes()
sharing.share_memory()
print(before, free_in_holes(), gc.get_freeze_count())
"""


@pytest.mark.skipif(not sharing.TELLS, reason="this C library does not tell what is free")
def test_nothing_is_left_free_between_what_is_loaded():
    said = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True).stdout
    before, after, frozen = map(int, said.split())
    assert before > 1_000_000 and after < 20_000 and frozen > 5_000


def test_where_the_c_library_does_not_tell_the_objects_are_frozen_all_the_same(monkeypatch):
    did = []
    monkeypatch.setattr(sharing, "TELLS", False)
    monkeypatch.setattr(sharing.gc, "freeze", lambda: did.append("freeze"))
    monkeypatch.setattr(sharing.gc, "collect", lambda: did.append("collect"))
    sharing.share_memory()
    assert did == ["collect", "freeze"]
