"""`manage.py exchange_simulator` as a process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, str(ROOT / "manage.py"), "exchange_simulator"]


@contextmanager
def started(*flags: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*COMMAND, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *flags], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_serves_and_ends_cleanly(number: signal.Signals) -> None:
    with started("--port", "0", "--topics", "30", "--frozen", "--seed", "5") as process:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:") and url.endswith("/openapi")
        answer = requests.get(url + "/market?marketType=2&status=activated", timeout=10).json()
        assert answer["result"]["total"] == 30
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""


def test_it_names_every_root_by_the_variable_that_takes_it() -> None:
    with started("--port", "0", "--topics", "5", "--frozen", "--trades-per-minute", "60") as process:
        first, *roots = (process.stdout.readline().strip() for _ in range(7))
        named = dict(line.split("=", 1) for line in roots)
        assert first == named["OPINION_API_URL"] and named["OPINION_WS_URL"].startswith("ws://")
        for name, path in (
            ("POLYMARKET_GAMMA", "/markets"),
            ("POLYMARKET_DATA", "/trades"),
            ("KALSHI_API", "/markets"),
        ):
            assert requests.get(named[f"{name}_URL"] + path, timeout=10).status_code == 200


def test_it_ends_while_an_answer_is_late() -> None:
    with started("--port", "0", "--topics", "5") as process:
        url = process.stdout.readline().strip()
        control = url.replace("/openapi", "/control/faults")
        requests.post(control, json={"fault": "slow", "delay": 600}, timeout=5)
        with pytest.raises(requests.ReadTimeout):
            requests.get(url + "/market", timeout=0.2)
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_a_taken_port() -> None:
    with started("--port", "0") as process:
        port = process.stdout.readline().strip().removesuffix("/openapi").rpartition(":")[2]
        second = run("--port", port)
    assert second.returncode == 1
    assert port in second.stderr and "Traceback" not in second.stderr
    assert second.stdout == ""


@pytest.mark.parametrize(
    "flags",
    [
        ["--port", "x"],
        ["--port", "70000"],
        ["--topics", "-1"],
        ["--trades-per-minute", "10001"],
        ["--start", "noon"],
        ["--replay", "/no/such/folder"],
    ],
)
def test_wrong_use(flags: list[str]) -> None:
    ended = run(*flags)
    assert ended.returncode == 2
    assert ended.stderr and "Traceback" not in ended.stderr
