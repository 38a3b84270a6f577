"""Writes docs/benchmarks.md and its chart from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import chart
from benchmarks.questions import QUESTIONS
from benchmarks.questions.question import Question
from benchmarks.systems.registry import SYSTEMS
from benchmarks.targets import TARGETS, Answers, Target

HEADINGS = {
    "per_second": "a second",
    "jobs": "jobs",
    "seconds": "seconds",
    "ran_again": "ran again",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "worst_ms": "worst, ms",
    "ms_each": "ms a job",
    "ms": "ms a resume",
    "cpu_percent": "% of a core",
    "queries_per_second": "queries a second",
    "pss_mb": "MB in all (PSS)",
    "largest_mb": "MB of the largest process",
    "processes": "processes",
    "rows": "other rows",
    "grown_mb": "MB grown",
    "grown_most_mb": "MB grown of one process at most",
    "late_s": "seconds until the last",
    "workflows": "workflows",
    "steps": "steps",
    "wrong": "twice or lost",
    "cpu_ms_each": "CPU ms a job",
}
DONE = ("drain", "retried", "once")


def write(answers: Answers, folder: Path) -> None:
    """Write both files; `folder` is docs/."""
    (folder / "benchmarks.svg").write_text(_chart(answers))
    (folder / "benchmarks.md").write_text("\n".join(_page(answers)).rstrip() + "\n")


def _page(answers: Answers) -> Iterator[str]:
    yield "# Benchmarks"
    yield (
        "Every figure here was measured by one command, ours and the others in the same run on the same machine. "
        "To repeat it on yours:\n\n    make bench-peers\n"
    )
    yield (
        "It installs the others into an environment of their own, takes about half an hour and writes this page. "
        "`make bench` is ours alone, in about a minute. `ONLY=drain,enqueue` and `SYSTEMS=ours,awa` run a part; the "
        "page is then written from all that was measured so far.\n"
    )
    yield "![No-ops drained a second by two worker processes](benchmarks.svg)\n"
    yield "## Targets"
    yield from _targets(answers)
    for name, question in QUESTIONS.items():
        if name in answers:
            yield from _question(question, answers[name])
    yield "## How each is set up"
    yield from _set_up(answers)
    yield "## The machine"
    yield from _machine(answers)


def _targets(answers: Answers) -> Iterator[str]:
    yield from _head("what", "ours", "beside it", "ratio", "target", "reached")
    for target in TARGETS:
        yield _line(target.what, *_measured(target, answers), target.bound, _reached(target.reached(answers)))
    yield ""


def _measured(target: Target, answers: Answers) -> Iterator[str]:
    ours, theirs, value = target.measured(answers)
    yield _number(ours, target.unit)
    yield _number(theirs, target.unit) if target.beside else ""
    yield (f"{value:.2f}" if value is not None else "not measured") if target.beside else ""


def _reached(reached: bool | None) -> str:
    return "not measured" if reached is None else "yes" if reached else "**no**"


def _question(question: Question, asked: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield f"## {question.title[0].upper()}{question.title[1:]}"
    yield f"{question.about.strip()}\n"
    columns = _columns(asked)
    yield from _head("system", "kind", *[HEADINGS.get(column, column) for column in columns], "ours is")
    for system in (name for name in SYSTEMS if name in asked):
        yield from _rows(question, asked, system, columns)
    yield ""


def _rows(question: Question, asked: dict[str, dict[str, Any]], system: str, columns: Sequence[str]) -> Iterator[str]:
    answer, title = asked[system], SYSTEMS[system].title
    if "error" in answer:
        yield _line(title, f"failed: {_first(answer['error'])}", *[""] * (len(columns) + 1))
        return
    for row in answer["rows"]:
        kind = answer["facts"]["kinds"].get(row["kind"], row["kind"])
        yield _line(
            title, kind, *[_number(row.get(column)) for column in columns], _ratio(question, asked, system, row)
        )


def _ratio(question: Question, asked: dict[str, dict[str, Any]], system: str, row: dict[str, Any]) -> str:
    """How many times as good ours is, on the same kind of database where there is one."""
    spec = SYSTEMS[system]
    ours = asked.get("ours-sqlite" if spec.place == "sqlite" else "ours", {})
    same = [one for one in ours.get("rows", ()) if one["kind"] == row["kind"]]
    if spec.ours or not same or not row.get(question.figure) or not same[0].get(question.figure):
        return ""
    ratio = same[0][question.figure] / row[question.figure]
    return f"{1 / ratio if question.less_is_better else ratio:.3g} x"


def _columns(asked: dict[str, dict[str, Any]]) -> list[str]:
    rows = [row for answer in asked.values() for row in answer.get("rows", ())]
    return list(dict.fromkeys(name for row in rows for name in row if name != "kind"))


def _set_up(answers: Answers) -> Iterator[str]:
    yield from _head("system", "how", "what one call promises", "enqueues many by", "versions")
    for system in SYSTEMS:
        facts = next((asked[system]["facts"] for asked in answers.values() if "facts" in asked.get(system, {})), None)
        if facts:
            versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
            kinds = "; ".join(facts["kinds"].values())
            yield _line(SYSTEMS[system].title, facts["about"], kinds, facts["bulk"], versions)
    yield ""


def _machine(answers: Answers) -> Iterator[str]:
    every = [answer for asked in answers.values() for answer in asked.values()]
    last = max(every, key=lambda answer: answer["at"])
    yield from _head("what", "")
    for name, value in last["machine"].items():
        if name not in ("PostgreSQL", "Redis"):
            yield _line(name, value)
    settings = max((answer["machine"]["PostgreSQL"] for answer in every), key=len)
    if settings:
        yield _line("PostgreSQL", f"{settings['server_version']}, the same server for all, over its socket")
        shown = ", ".join(f"{name} {value}" for name, value in settings.items() if name != "server_version")
        yield _line("its settings", f"those of a fresh initdb: {shown}")
    yield _line("SQLite", "WAL, synchronous NORMAL, IMMEDIATE, for ours and for django-q2")
    yield _line(
        "Redis",
        f"{last['machine'].get('Redis', '')}, defaults: a crash loses what its last snapshot has not",
    )
    yield _line("commit", ", ".join(sorted({answer["commit"] for answer in every})))
    yield _line("measured", f"{min(answer['at'] for answer in every)} to {last['at']} UTC")
    sizes = sorted({answer["scale"] for answer in every})
    if sizes != [1]:
        yield _line("size", f"of the full one: {', '.join(f'{size:g}' for size in sizes)}")


def _chart(answers: Answers) -> str:
    bars = [
        (f"{SYSTEMS[system].title}: {_promise(answer, row)}", row["per_second"], SYSTEMS[system].ours)
        for name in DONE
        for system, answer in answers.get(name, {}).items()
        for row in answer.get("rows", ())
    ]
    return chart.draw("No-ops drained a second by two worker processes", bars)


def _promise(answer: dict[str, Any], row: dict[str, Any]) -> str:
    """ "at least once" of "action with a retry policy, at least once"."""
    words = answer["facts"]["kinds"][row["kind"]].split(" (")[0]
    return words.rsplit(", ", 1)[-1]


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield _line(*["---"] * len(names))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _number(value: Any, unit: str = "") -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}{unit}" if abs(value) >= 100 else f"{value:.3g}{unit}"
    return f"{value:,}{unit}"


def _first(error: str) -> str:
    return error.strip().splitlines()[0][:200]
