"""docs/reference/parity.md: what it says is held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/parity.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
TABLES = PAGE.read_text().partition("## Where the peers disagree")[0].splitlines()
ROWS = [line.strip("| ").split(" | ") for line in TABLES if line.startswith("| ") and line[2:7] != "there"]


def names(path):
    """The tests of a file, those in classes as Class::test."""
    for node in ast.parse((ROOT / path).read_text()).body:
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, ast.FunctionDef):
                yield one.name if one is node else f"{node.name}::{one.name}"


def test_each_test_that_the_page_names_is_there():
    named = set(NAMED.findall(PAGE.read_text()))
    there = {path: set(names(path)) for path, _ in named if (ROOT / path).exists()}
    assert [f"{path}::{name}" for path, name in sorted(named) if name not in there.get(path, ())] == []
    assert len(named) > 100


def test_each_row_has_a_verdict_with_its_reason_and_what_is_the_same_a_test():
    for there, verdict, here, proof in ROWS:
        assert there and here
        assert verdict == "same" or re.fullmatch(r"(different|not offered) \(.+\)", verdict), there
        assert verdict != "same" or NAMED.search(proof), there
    assert len(ROWS) > 150
