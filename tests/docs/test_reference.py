"""The reference pages are what docs/build.py makes of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from scheduling import calls, conf, exceptions, options

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(build):
    return build.pages()


def test_the_committed_pages_are_those_of_a_fresh_build(build, pages):
    there = {path.name: path.read_text() for path in build.REFERENCE.iterdir()}
    assert {name: text for name, text in there.items() if text.startswith(build.HEAD)} == pages, "run `make docs`"


def test_check_exits_with_1_where_a_page_is_stale_missing_or_left_over(build, pages, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "REFERENCE", tmp_path)
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0
    (tmp_path / "limits.md").write_text(f"{build.HEAD} old")
    (tmp_path / "pools.md").unlink()
    (tmp_path / "gone.md").write_text(build.HEAD)
    (tmp_path / "by_hand.md").write_text("kept")
    capsys.readouterr()
    assert build.main(["--check"]) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "docs/reference/gone.md",
        "docs/reference/limits.md",
        "docs/reference/pools.md",
    ]
    assert build.main([]) == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == pages | {"by_hand.md": "kept"}


def test_every_option_of_a_call_and_of_a_function_is_told(pages):
    for option in calls.OPTIONS:
        assert f"\n| `{option}` |" in pages["scheduler.md"]
    for option in options.Options.__dataclass_fields__:
        assert f"\n| `{option}` |" in pages["functions.md"]


def test_every_setting_is_told(pages):
    for name in conf.Conf.model_fields:
        assert f"\n| `{name}` |" in pages["settings.md"]


def test_every_error_is_told(pages):
    ours = [
        name
        for name, thing in vars(exceptions).items()
        if isinstance(thing, type) and thing.__module__ == exceptions.__name__
    ]
    for name in ours:
        assert f"\n## {name}\n" in pages["errors.md"]


def test_a_public_name_without_a_docstring_is_refused(build, tmp_path, monkeypatch):
    (tmp_path / "bare.py").write_text("def bare(): ...\n")
    monkeypatch.setattr(build, "CODE", tmp_path)
    with pytest.raises(SystemExit, match="bare has no docstring"):
        build._part("bare.py *", 0)
