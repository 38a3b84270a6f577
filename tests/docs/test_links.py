"""Every link of the documentation leads somewhere, and every page is reached from its index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.test_snippets import ROOT, name

PAGES = [ROOT / "README.md", ROOT / "scheduling" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def text(page: Path) -> str:
    """A page without its blocks of code, in which brackets are no links and # no heading."""
    return re.sub(r"^```(?s:.*?)^```$|`[^`\n]*`(?!\])", "", page.read_text(), flags=re.MULTILINE)


def links(page: Path) -> list[tuple[Path, str]]:
    """(file, anchor) of each link to a file of ours."""
    found = re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)", text(page))
    return [((page.parent / file).resolve() if file else page, anchor) for file, anchor in found]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```(?s:.*?)^```$", "", page.read_text(), flags=re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page):
    for target, anchor in links(page):
        assert target.exists(), f"{name(page)}: {target}"
        assert not anchor or anchor in anchors(target), f"{name(page)}: {target}#{anchor}"


def test_the_index_leads_to_every_page():
    index = ROOT / "docs" / "README.md"
    assert {page for page in PAGES if page.is_relative_to(index.parent)} - {index} <= {file for file, _ in links(index)}
