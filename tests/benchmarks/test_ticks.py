"""What bodies leave behind."""

import os
import threading

import pytest

from benchmarks import ticks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(ticks.FOLDER, str(tmp_path))
    ticks._forget()
    yield tmp_path
    ticks._forget()


def test_threads_lose_no_count(folder):
    def count():
        for _ in range(2000):
            ticks.tick()

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ticks.total(folder) == 16_000


def test_a_forked_process_counts_in_a_file_of_its_own(folder):
    ticks.tick()
    child = os.fork()
    if child == 0:
        ticks.tick()
        os._exit(0)
    os.waitpid(child, 0)
    ticks.tick()
    assert ticks.total(folder) == 3
    assert len(list(folder.glob("*.ticks"))) == 2


def test_marks_tell_what_ran_twice(folder):
    for number in (1, 2, 1):
        ticks.mark(number)
    assert {number: len(times) for number, times in ticks.marks(folder).items()} == {1: 2, 2: 1}
    assert ticks.total(folder) == 3
