"""`python -m benchmarks`: asks our scheduler; with --peers the others too, and then docs/benchmarks.md is written."""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks import environment, page, results
from benchmarks.questions import QUESTIONS
from benchmarks.remote import ROOT
from benchmarks.run import run
from benchmarks.systems import registry


def main(argv: list[str] | None = None) -> int:
    """Give the exit code: 0, or 1 where a system of ours failed, 2 for wrong use."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started ends too
    try:
        systems = registry.chosen(_names(options.systems), options.peers)
        questions = _questions(_names(options.only))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if any(not registry.SYSTEMS[name].ours for name in systems):
        environment.make()
    kept = results.FOLDER if options.peers else results.FOLDER / "ours"
    answers = run(questions, systems, options.scale, kept)
    if options.peers:
        page.write(results.read(kept), ROOT / "docs")
    failed = [name for asked in answers.values() for name, answer in asked.items() if "error" in answer]
    return int(any(registry.SYSTEMS[name].ours for name in failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="the others too")
    parser.add_argument("--only", default="", help=f"some questions, as a,b: {', '.join(QUESTIONS)}")
    parser.add_argument("--systems", default="", help=f"some systems, as a,b: {', '.join(registry.SYSTEMS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="how large, of the full size (default: 1)")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _questions(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in QUESTIONS]
    if unknown:
        raise ValueError(f"no such question: {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    return [name for name in QUESTIONS if not names or name in names]


if __name__ == "__main__":
    sys.exit(main())
