"""`python -m tests.browser.screenshot URL PASSWORD FILE`: the README's picture, from a running demo's dashboard."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import Chromium

LOG_IN = "document.querySelector('#login-form').submit()"
DRAWN = "document.querySelector('.tile-success strong') !== null"


def main(url: str, password: str, file: str) -> None:
    """Log in as the demo's admin, wait for the dashboard, and keep what is seen."""
    with tempfile.TemporaryDirectory() as profile:
        browser = Chromium(Path(profile))
        try:
            browser.look_at(width=1280, height=1000)
            browser.open(f"{url}login/?next=/admin/")
            for field, value in {"username": "admin", "password": password}.items():
                browser.run(f"document.querySelector('#id_{field}').value = {json.dumps(value)}")
            browser.run(LOG_IN)
            browser.until(DRAWN)
            browser.open(url)
            browser.shoot(Path(file))
        finally:
            browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
