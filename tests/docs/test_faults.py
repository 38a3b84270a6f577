"""The page of faults has a row for each, and each test that it names is there."""

from __future__ import annotations

from tests.docs.test_contract import EXCUSE, NAMED, ROOT, rows, there

PAGE = ROOT / "docs" / "reference" / "faults.md"


def test_each_fault_has_its_row():
    assert [int(row[0]) for row in rows(PAGE) if row[0].isdigit()] == list(range(1, 49))


def test_each_test_that_it_names_is_there():
    named = NAMED.findall(PAGE.read_text())
    assert sorted({f"{path}::{name}" for path, name in named if name not in there(path)}) == []


def test_no_row_lacks_a_test_unless_it_says_why():
    for *said, proof in rows(PAGE):
        assert all(said), said
        assert NAMED.search(proof) or EXCUSE.match(proof), said
