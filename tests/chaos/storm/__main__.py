"""`python -m tests.chaos.storm`: one storm on each database; exit code 0 where every rule held."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.storm import place


def main() -> int:
    """Choose the seed, say it, and run each storm in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="in all (default: 3)")
    parser.add_argument("--seed", type=int, help="that of a storm before, to see it again (default: by chance)")
    parser.add_argument("--db", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--kills", type=int, default=0, help="so many SIGKILLs of one cluster, in place of the minutes")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _inside(options)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    kinds = ["postgres", "sqlite"] if options.db == "both" else [options.db]
    minutes = options.minutes / len(kinds)
    again = f"DB={options.db} SEED={seed}" + (
        f" KILLS={options.kills}" if options.kills else f" CHAOS_MINUTES={options.minutes:g}"
    )
    print(f"storm: make {'kills' if options.kills else 'chaos'} {again}", flush=True)
    return max(_storm(kind, seed, minutes, options.kills) for kind in kinds)


def _storm(kind: str, seed: int, minutes: float, kills: int) -> int:
    environment = os.environ | ({"STORM_DEAD_AFTER": "20"} if kills else {})  # the default of a real host
    folder = tempfile.mkdtemp(prefix="storm-")
    words = ["--db", kind, "--seed", str(seed), "--minutes", str(minutes), "--kills", str(kills), "--inside", folder]
    code = subprocess.run([sys.executable, "-m", "tests.chaos.storm", *words], env=environment, check=False).returncode
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"{kind}: its ledger and logs are in {folder}", flush=True)
    return code


def _inside(options: argparse.Namespace) -> int:
    folder = Path(options.inside)
    secret = place.new_secret()
    with place.database(options.db, folder, secret) as there:
        os.environ.update(place.environment(there.url, folder, options.seed, secret))
        place.set_up()
        from tests.chaos.storm.storm import Plan, run  # Django is set up now

        return run(Plan(options.db, options.seed, options.minutes * 60, options.kills), there, folder)


if __name__ == "__main__":
    sys.exit(main())
