"""Holds one adapter in the environment of its system, and does what the benchmark asks of it, a JSON line each.

`python -m benchmarks.agent MODULE SERVER FOLDER`
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Answer until the other side closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the libraries print is not an answer
    module, server, folder = sys.argv[1:]
    adapter = None
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            if adapter is None:
                adapter = import_module(module).System(server, Path(folder))
            answer = {"value": getattr(adapter, name)(*arguments)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
    if adapter is not None:
        adapter.stop()


if __name__ == "__main__":
    main()
