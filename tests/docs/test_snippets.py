"""What the pages show is run: each page's ```python blocks, in order, in one namespace, on a clock that stands still.

A block marked ```python no-run is only compiled. Tests that a page defines are run. The commands of ```console
blocks are parsed, not run.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from scheduling import functions, mutation, testing

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
RUN_HERE = [page for page in PAGES if page.name != "tutorial.md"]  # that one is followed by test_tutorial.py
START = datetime(2026, 5, 1, 12, tzinfo=UTC)
MOST_NOT_RUN = 3


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> Iterator[tuple[str, str]]:
    """(what stands behind the language, the code), the code on the lines that it has in the page."""
    text = page.read_text()
    for found in re.finditer(rf"^```{language}\b(.*)\n((?s:.*?))^```$", text, re.MULTILINE):
        yield found[1].strip(), "\n" * text.count("\n", 0, found.start(2)) + found[2]


def given(page: Path) -> dict[str, object]:
    """What a page takes for granted."""
    if page.name != "README.md":
        return {}
    from markets.models import Market

    told = mutation(lambda: None, name="markets.tell_the_team")
    report = mutation(lambda: None, name="markets.report")
    return {"Market": Market, "tell_the_team": told, "report": report}


@pytest.mark.django_db
@pytest.mark.parametrize("page", RUN_HERE, ids=name)
def test_the_snippets_of_a_page_run(page, monkeypatch, request):
    monkeypatch.setattr(functions, "_registry", dict(functions._registry))
    namespace = {"__name__": "markets.functions", **given(page)}
    with testing.clock(START), testing.random(0.5):
        for mark, code in blocks(page, "python"):
            compiled = compile(code, name(page), "exec", dont_inherit=True)
            if mark != "no-run":
                exec(compiled, namespace)
    for test in [thing for name, thing in namespace.items() if name.startswith("test_")]:
        test(**{fixture: request.getfixturevalue(fixture) for fixture in inspect.signature(test).parameters})


def test_few_snippets_are_not_run():
    marks = [mark for page in PAGES for mark, _code in blocks(page, "python")]
    assert set(marks) <= {"", "no-run"}
    assert marks.count("no-run") <= MOST_NOT_RUN


@pytest.mark.parametrize("page", RUN_HERE, ids=name)
def test_the_commands_that_a_page_shows_are_commands(page):
    for _mark, code in blocks(page, "console"):
        for line in re.findall(r"^\$ .*?manage\.py (.*)$", code, re.MULTILINE):
            command, *arguments = shlex.split(line.partition(" | ")[0], comments=True)
            known = load_command_class(get_commands()[command], command)
            known.create_parser("manage.py", command).parse_args(arguments)


def test_a_how_to_and_the_tutorial_are_at_most_120_lines():
    short = [page for page in PAGES if page.parent.name == "how-to" or page.name == "tutorial.md"]
    long = {page.name: page.read_text().count("\n") for page in short}
    assert {page: lines for page, lines in long.items() if lines > 120} == {}
