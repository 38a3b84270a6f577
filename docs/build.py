"""Writes docs/reference/ from the signatures and docstrings of scheduling, and from the --help of its commands.

`make docs` writes the pages; `docs/build.py --check` changes nothing and exits with 1 where one is out of date.
"""

import argparse
import ast
import functools
import itertools
import os
import pkgutil
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE, REFERENCE = ROOT / "scheduling", ROOT / "docs" / "reference"
HEAD = "<!-- Written by docs/build.py. To change it, change the docstrings, then run `make docs`. -->"
ROW = re.compile(r"^(\S+) {2,}(.+(?:\n +.+)*)", re.MULTILINE)  # a name and its meaning, which may go on below
Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

JOBS = ["models/job.py State Job", "models/attempt.py Attempt"]
CLOCKS = ["testing/clocks.py testing.Clock testing.random", "testing/draining.py testing.drain testing.advance"]
CLUSTER = "testing/processes.py testing.cluster testing.Cluster"
# A page is made of files: of their docstrings, or of the names that follow, as callers write them; *: all.
PAGES = {
    "functions": ["functions.py", "functions.py @query @mutation @action", "options.py Options", "running.py Context"],
    "scheduler": ["scheduler.py", "scheduler.py scheduler.*", "calls.py", "calls.py Call", "keys.py", *JOBS],
    "retrier": ["retrier.py", "retrier.py retrier.*", "backoff.py Retry", "exceptions.py Permanent RetryAfter"],
    "batches": ["batches.py", "batches.py batches.*", "models/batch.py BatchState Batch"],
    "saga": ["saga.py", "saga.py Step", "saga.py saga.*", "models/saga.py SagaState StepState Saga"],
    "workflows": [
        "workflows.py",
        "workflows.py @workflow workflows.*",
        "steps.py",
        "steps.py WorkflowStep",
        "testing/replaying.py testing.replay",
    ],
    "events": [
        "events.py",
        "events.py events.send",
        "bindings.py",
        "bindings.py @on_event events.Debounce events.Batching events.Rate events.Singleton events.CancelOn",
    ],
    "crons": ["crons.py", "declarations.py Crons", "crons.py crons.*", "backfills.py crons.backfill"],
    "pools": ["pools.py", "pools.py pools.*"],
    "limits": ["limits.py", "limits.py limits.*", "buckets.py TokenBucket FixedWindow RateLimit"],
    "testing": ["testing/__init__.py", *CLOCKS, CLUSTER, "pytest_fixtures.py", "pytest_fixtures.py fixture:*"],
    "errors": ["exceptions.py", "exceptions.py *"],
    "settings": ["conf.py", "conf.py Conf"],
}
SHOWN_AS = {
    "WorkflowStep": "step",
    "Context": "context",
    "testing.Clock": "testing.clock",
    "Conf": "SCHEDULING",
}  # callers make none of these
TITLES = {
    "bindings.py": "What is bound to events",
    "steps.py": "Steps",
    "calls.py": "Options of a call",
    "keys.py": "Keys",
    "pytest_fixtures.py": "Fixtures of pytest",
}
INTERNAL = (
    "pools.key_of pools.declares limits.require limits.exists crons.declarations crons.edited "
    "Job.save Batch.save Saga.save Options.of"
)
ERRORS = re.findall(r"^class (\w+)\(SchedulingError\)", (CODE / "exceptions.py").read_text(), re.MULTILINE)
OF_DJANGO = "version verbosity settings pythonpath traceback no_color force_color skip_checks"


def pages() -> dict[str, str]:
    """The text of each page by its file name, built anew."""
    texts = {
        name: [text for nth, part in enumerate(parts) for text in _part(part, nth)] for name, parts in PAGES.items()
    }
    texts["settings"] += _environment()
    texts["commands"] = _commands()
    return {f"{name}.md": "\n\n".join([HEAD, f"# {name.title()}", *page]) + "\n" for name, page in texts.items()}


def _part(part: str, nth: int) -> list[str]:
    file, *names = part.split()
    source = (CODE / file).read_text()
    module = ast.parse(source)
    there = {node.name: node for node in module.body if isinstance(node, Node)}
    texts = [] if names else [*[f"## {TITLES.get(file)}"][:nth], *_markdown(ast.get_docstring(module) or "")]
    for prefix, name in (re.findall(r"(.*?)(\w+|\*)$", name)[0] for name in names):
        for each in [name] if name != "*" else [name for name in there if name[0] != "_"]:
            texts += _section(SHOWN_AS.get(prefix + each, prefix + each), there[each], source, there)
    twins = ", ".join(f"`{verb}`" for verb in re.findall(r"^(a\w+) = twin\(", source, re.MULTILINE) if "*" in part)
    return [*texts, "## Twins", f"The same verbs, to be awaited inside `async def`: {twins}."] if twins else texts


def _section(name: str, node: Node, source: str, there: dict[str, Node], level: str = "##") -> list[str]:
    """What it is in a line, its signature, the rest of its docstring, its fields, its errors, its members."""
    if name in INTERNAL.split():
        return []
    docstring = ast.get_docstring(node) or sys.exit(f"{name} has no docstring")
    first, *rest = _markdown(docstring)
    fields, members = _fields(node, there), node.body if isinstance(node, ast.ClassDef) else []
    signature = _signature(name, node, source, fields)
    texts = [f"{level} {name}", first, *([f"```python\n{signature}\n```"] if signature else []), *rest]
    texts += _table(["name", "type", "default", "meaning"], [field for field in fields if field[-1]])
    links = [f"[{error}](errors.md#{error.lower()})" for error in ERRORS if re.search(rf"\b{error}\b", docstring)]
    texts += [f"Errors: {', '.join(links)}."] if links else []
    for one in members:
        if isinstance(one, ast.FunctionDef) and (one.name[0] != "_" or one.name == "__call__"):
            member = f"{name}.{one.name}".replace(".__call__", "()")
            texts += _section(member, one, source, {}, f"{level}#")
    return texts


def _signature(name: str, node: Node, source: str, fields: list[list[str]]) -> str:
    """As it stands in the code; of a class that of its __init__, else one made of its fields."""
    if not isinstance(node, ast.ClassDef):
        if any(ast.unparse(one) == "property" for one in node.decorator_list):
            return f"{name}: {ast.unparse(node.returns)}"
        return re.sub(r"\bself(, )?", "", _header(node, source))
    init = next((one for one in node.body if getattr(one, "name", "") == "__init__"), None)
    if init and len(init.args.args) > 1:
        header = _header(init, source).removesuffix(" -> None")
        return re.sub(r"def __init__\((\s*)self,?\s*", rf"{node.name}(\1", header)
    given = [f"{field}={default}" if default else field for field, _, default, _ in fields]
    return f"{node.name}({', '.join(given).replace('`', '')})" if given and name not in SHOWN_AS.values() else ""


def _header(node: ast.FunctionDef, source: str) -> str:
    lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    return textwrap.dedent("\n".join(lines)).strip().removesuffix(":")


def _fields(node: Node, there: dict[str, Node]) -> list[list[str]]:
    """The annotated fields of a class, those of its bases in the same file first: name, type, default, docstring."""
    bases = [there[ast.unparse(base)] for base in getattr(node, "bases", []) if ast.unparse(base) in there]
    found = [field for base in bases for field in _fields(base, there)]
    for one, after in itertools.pairwise([*node.body, ast.Pass()] if isinstance(node, ast.ClassDef) else []):
        if isinstance(one, ast.AnnAssign) and "models." not in ast.unparse(one):
            said = ast.literal_eval(after.value) if isinstance(after, ast.Expr) else ""
            kind = re.sub(r"Annotated\[(\w+), .*\]", r"\1", ast.unparse(one.annotation))
            cells = [ast.unparse(one.target), kind, _default(one.value)]
            found.append([*(f"`{cell}`" if cell else "" for cell in cells), said])
    return found


def _default(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    return ast.unparse(value) if value else ""


def _markdown(docstring: str) -> list[str]:
    """Paragraphs are wrapped anew; what is indented below one is a table of names and meanings, or code."""
    texts: list[str] = []
    for piece in re.split(r"\n\n(?=\S)", docstring):
        text, _, indented = piece.partition("\n\n")
        language = "pycon" if text.startswith(">>>") else "text" if "──" in text else ""
        wrapped = textwrap.fill(" ".join(text.split()), 115, break_long_words=False, break_on_hyphens=False)
        texts.append(f"```{language}\n{text}\n```" if language else wrapped)
        code = textwrap.dedent(indented)
        if code and ROW.sub("", code).strip():
            texts.append(f"```python\n{code}\n```")
        texts += _table(["name", "meaning"], [[f"`{name}`", said] for name, said in ROW.findall(code)])
    return texts


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = [" | ".join(row) for row in [columns, ["---"] * len(columns), *cells]]
    return ["\n".join(f"| {line} |" for line in lines)] if rows else []


def _environment() -> list[str]:
    """The variables of .env.example, each with the comment above it."""
    found = re.findall(r"((?:^# .*\n)+)^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    rows = [[f"`{name}`", f"`{value}`" if value else "", said.replace("# ", "")] for said, name, value in found]
    return ["## The environment", "Or a `.env` beside manage.py.", *_table(["name", "as it comes", "meaning"], rows)]


def _commands() -> list[str]:
    """What each command, and each of its verbs, says with --help, but for the options that Django gives to all."""
    import django
    from django.core.management import load_command_class

    django.setup()
    texts = ["Each takes the options of every Django command too, as `--settings` and `--traceback`."]
    for name in sorted(module.name for module in pkgutil.iter_modules([str(CODE / "management" / "commands")])):
        parser = load_command_class("scheduling", name).create_parser("manage.py", name)
        texts += [f"## {name}", _help(parser)]
        for action in parser._actions:
            verbs = action.choices.items() if isinstance(action, argparse._SubParsersAction) else []
            texts += [text for verb, one in verbs for text in (f"### {name} {verb}", _help(one))]
    return texts


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = functools.partial(parser.formatter_class, width=100)
    for action in parser._actions:
        action.help = argparse.SUPPRESS if action.dest in OF_DJANGO.split() else action.help
    return f"```console\n$ python {parser.prog} --help\n{parser.format_help().strip()}\n```"


def main(arguments: list[str] | None = None) -> int:
    """Write the pages; with --check only look whether each is as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where a page is out of date")
    check = parser.parse_args(arguments).check
    wanted = pages()
    built = {path.name: path.read_text() for path in REFERENCE.glob("*.md")}
    there = {name: text for name, text in built.items() if text.startswith(HEAD)}  # others are written by hand
    stale = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
    for name in stale:
        print(f"docs/reference/{name} {'is out of date: run `make docs`' if check else 'written'}")
        if not check and name in wanted:
            (REFERENCE / name).write_text(wanted[name])
        elif not check:
            (REFERENCE / name).unlink()
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.exit(main())
