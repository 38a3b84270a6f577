"""The pages that say which test holds what: each test that they name is there, and no row is without one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "reference" / name for name in ("contract.md", "parity.md")]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)")
EXCUSE = re.compile(r"\w+ \w+ \w+")
"""What a cell without a test has to say: why, in words; of what is not offered the row says it beside."""


@cache
def there(path: str) -> frozenset[str]:
    """The tests of a file as they are named: test_x, or Class::test_x."""
    file = ROOT / path
    found = set()
    for node in ast.parse(file.read_text()).body if file.exists() else []:
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(one.name if one is node else f"{node.name}::{one.name}")
    return frozenset(found)


def rows(page: Path) -> list[list[str]]:
    """The rows of the tables whose last column is the test."""
    found, held = [], False
    for line in page.read_text().splitlines():
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        if not cells:
            held = False
        elif cells[-1].strip() == "test":
            held = True
        elif held and not set(line) <= set("|- "):
            found.append([cell.strip() for cell in cells])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_test_that_a_page_names_is_there(page):
    named = NAMED.findall(page.read_text())
    assert len(named) > 100
    assert sorted({f"{path}::{name}" for path, name in named if name not in there(path)}) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_row_lacks_a_test_unless_it_says_why(page):
    found = rows(page)
    assert len(found) > 100
    for *said, proof in found:
        assert all(said), said
        excused = EXCUSE.match(proof) or any(cell.startswith("not offered (") for cell in said)
        assert NAMED.search(proof) or excused, f"{page.name}: {said}"
