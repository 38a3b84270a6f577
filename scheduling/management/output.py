"""How the commands speak: JSON or a table on stdout, messages on stderr, colours and frames on a terminal only."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError

from scheduling import clock
from scheduling.exceptions import (
    AlreadyExists,
    InvalidArguments,
    InvalidOption,
    InvalidSchedule,
    NotFound,
    SchedulingError,
)
from scheduling.redaction import redact, redact_json
from scheduling.words import relative as relative
from scheduling.words import when as when

FAILED, WRONG_USE = 1, 2  # exit codes; 0 is done
_WRONG = (AlreadyExists, InvalidArguments, InvalidOption, InvalidSchedule, NotFound)
COLORS = {
    "success": "green",
    "active": "green",
    "failed": "red",
    "broken": "red",
    "in_progress": "cyan",
    "canceled": "yellow",
    "paused": "yellow",
    "skipped": "dim",
    "retired": "dim",
}

Cell = str | int | None


class ReportCommand(BaseCommand):
    """A command that reports: as JSON, or for people. Its work is `report()`, which is given its options by keyword."""

    requires_system_checks: list[str] = []
    examples = ""

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """The examples stand below the options, as they are written."""
        raw = argparse.RawDescriptionHelpFormatter
        return super().create_parser(
            prog_name, subcommand, formatter_class=raw, epilog=f"examples:\n{self.examples}", **options
        )

    def add_arguments(self, parser: CommandParser) -> None:
        """What all reports take."""
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        """Do the work; its errors become messages and exit codes."""
        names = ("stdout", "stderr", "settings", "pythonpath", "traceback", "verbosity", "skip_checks")
        given = {name: value for name, value in options.items() if name not in names}
        self.as_json = as_json
        self.colors = not given.pop("no_color", False) and (self.stdout.isatty() or given.pop("force_color", False))
        given.pop("force_color", None)
        with _exit_codes():
            self.report(**given)

    def report(self, **options: Any) -> None:
        """Each command has its own."""
        raise NotImplementedError

    def say(self, message: str) -> None:
        """A message for people, on stderr; none where JSON was asked for."""
        if not self.as_json:
            self.stderr.write(clean(message), style_func=str)

    def print_json(self, value: Any) -> None:
        """One JSON document, on one line, without secrets."""
        self.stdout.write(json.dumps(redact_json(value), default=_as_json))
        self.stdout.flush()

    def print_lines(self, *lines: str) -> None:
        """Plain lines on stdout."""
        for line in lines:
            self.stdout.write(clean(line))
        self.stdout.flush()

    def print_table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """A table: framed and coloured on a terminal, else columns of plain text."""
        texts = [["" if cell is None else clean(str(cell), one_line=True) for cell in row] for row in rows]
        if self.colors:
            self._rich_table(columns, texts)
            return
        widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
        for row in [list(columns), *texts]:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    def _rich_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell, style=COLORS.get(cell, "")) for cell in row))
        out: Any = self.stdout
        Console(file=out, force_terminal=True, highlight=False).print(table)


class VerbCommand(ReportCommand):
    """A command of verbs: each is a method `do_<verb>`, which is given its options by keyword."""

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser a verb."""
        self.verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self.add_verbs()

    def add_verbs(self) -> None:
        """Each command adds its own."""
        raise NotImplementedError

    def verb(self, name: str, help: str, example: str) -> CommandParser:
        """Add a verb; all of them take --json."""
        parser: CommandParser = self.verbs.add_parser(
            name,
            help=help,
            description=help,
            epilog=f"example:\n  manage.py {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        super().add_arguments(parser)
        return parser

    def report(self, **options: Any) -> None:
        """Call the verb's method."""
        method: Callable[..., None] = getattr(self, f"do_{options.pop('verb')}")
        method(**options)


def fail(message: str, code: int = FAILED) -> NoReturn:
    """End the command with a message on stderr and an exit code."""
    raise CommandError(message, returncode=code)


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except _WRONG as error:
        raise CommandError(clean(str(error)), returncode=WRONG_USE) from error
    except (SchedulingError, DatabaseError) as error:
        raise CommandError(clean(str(error)), returncode=FAILED) from error
    except BrokenPipeError:  # the reader has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def clean(text: str, *, one_line: bool = False) -> str:
    """A text without secrets that does nothing to a terminal but show: control characters and the like as escapes."""
    keep = "" if one_line else "\n\t"
    shown = "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in redact(text))
    return shown.encode("utf-8", "backslashreplace").decode()


def natural(most: int) -> Callable[[str], int]:
    """An option's type: a whole number from 1 to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"a whole number from 1 to {most:,}, not {text!r}")
        return int(text)

    return parse


def json_object(text: str) -> dict[str, Any]:
    """An option's type: a JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'a JSON object like {{"n": 1}}, not {text!r}')
    return value


def moment(text: str) -> datetime:
    """An option's type: a time with its offset."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a time like 2026-05-01T00:00Z, not {text!r}") from error
    if value.utcoffset() is None:
        raise argparse.ArgumentTypeError(f"a time with its offset, like {text}{'' if 'T' in text else 'T00:00'}Z")
    return value


def present() -> datetime:
    """The time by the database's clock, which all that is shown goes by."""
    return clock.now()


def _as_json(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")
