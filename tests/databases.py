"""Chooses the database of a test run before Django's settings are read (loaded by `-p` in pyproject.toml).

TEST_DB=sqlite (default) or postgres; with postgres, TEST_DATABASE_URL names a server, and without it
an embedded one is started for this run and removed after it.
"""

import atexit
import os
import shutil
import tempfile

import pytest

os.environ.setdefault("SECRET_KEY", "tests-only")
os.environ["DEBUG"] = "0"
os.environ["SECURE_SSL_REDIRECT"] = "0"
_folder = tempfile.mkdtemp(prefix="scheduling-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

if os.environ.get("TEST_DB", "sqlite") == "postgres":
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        from config.embedded_postgres import start

        url = start(os.path.join(_folder, "postgres"), keep=False)
    os.environ["DATABASE_URL"] = url
else:
    os.environ["DATABASE_URL"] = f"sqlite:///{_folder}/db.sqlite3"
    os.environ["TEST_SQLITE"] = f"{_folder}/test.sqlite3"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--of-databases",
        action="store_true",
        help="without the tests that use no database: for the second run, on another database",
    )
