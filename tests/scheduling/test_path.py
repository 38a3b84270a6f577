"""The path of one job, as the table in scheduling/README.md tells it: at most 8 files and 700 lines."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import scheduling

FOLDER = Path(scheduling.__file__).parent
ROW = re.compile(r"^\| \d+ \| `([\w/]+\.py)` \| (.+?) \| (\d+) \| .+ \|$", re.M)


def table() -> list[tuple[str, list[str], int]]:
    readme: str = (FOLDER / "README.md").read_text()
    return [(file, re.findall(r"`([\w.]+)`", names), int(lines)) for file, names, lines in ROW.findall(readme)]


def lines_of(file: str, names: list[str]) -> int:
    """The lines of functions, classes and constants of a file, comments and docstrings included."""
    found = dict(_named(ast.parse((FOLDER / file).read_text()).body))
    return sum(found[name] for name in names)


def _named(body: list[ast.stmt], within: str = ""):
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield within + node.name, node.end_lineno - node.lineno + 1
        if isinstance(node, ast.ClassDef):
            yield from _named(node.body, f"{node.name}.")
        if isinstance(node, ast.Assign):
            yield getattr(node.targets[0], "id", ""), node.end_lineno - node.lineno + 1


def test_the_table_counts_right():
    assert table()
    for file, names, lines in table():
        assert (file, lines_of(file, names)) == (file, lines)


def test_at_most_8_files_and_700_lines():
    files = [file for file, _names, _lines in table()]
    assert len(files) == len(set(files)) <= 8
    assert sum(lines for _file, _names, lines in table()) <= 700
