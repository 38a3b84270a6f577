"""`manage.py pools`: look at pools, pause and resume them, change how many of their jobs run at once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from scheduling import lanes, pools
from scheduling.cluster.facts import Facts
from scheduling.management.output import VerbCommand, fail, moment, when
from scheduling.models import Paused, Pool


class Command(VerbCommand):
    """Parses, calls scheduling.pools, prints."""

    help = "Look at pools and steer them. Exit codes: 0 done, 1 failed, 2 wrong use."
    examples = """\
  manage.py pools list
  manage.py pools pause exchange --reason "exchange is down" --until 2026-05-01T18:00Z
  manage.py pools resume exchange
  manage.py pools set exchange --max 20"""

    def add_verbs(self) -> None:
        """list, pause, resume, set."""
        self.verb("list", "List all pools.", "pools list --json")
        verb = self.verb("pause", "Start no more of a pool's jobs.", 'pools pause exchange --reason "it is down"')
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--reason", default="", help="shown to whoever looks at it")
        verb.add_argument("--until", type=moment, metavar="TIME", help="when it ends by itself (default: resume)")
        verb = self.verb("resume", "Start a pool's jobs again.", "pools resume exchange")
        verb.add_argument("name", metavar="NAME")
        verb = self.verb("set", "Change how many of a pool's jobs run at once.", "pools set exchange --max 20")
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--max", type=int, required=True, dest="most", metavar="N", help="0: none begins")

    def do_list(self) -> None:
        """All, by name."""
        facts = Facts()
        found = [_as_dict(pool, facts) for pool in facts.pools.values()]
        if self.as_json:
            self.print_json(found)
            return
        rows = [
            (pool["name"], pool["state"], pool["running"], pool["max_parallelism"], pool["key"], _why(pool, facts))
            for pool in found
        ]
        self.print_table(["NAME", "STATE", "RUN", "OF", "FOR EACH", "NOTE"], rows)
        self.say(f"{len(rows)} pools")

    def do_pause(self, name: str, reason: str, until: datetime | None) -> None:
        """Until it is resumed, or until its time has come."""
        pools.pause(name, reason, until)
        self._tell(name, "paused")

    def do_resume(self, name: str) -> None:
        """At once, on all hosts."""
        if not pools.resume(name):
            fail(f"pool {name} is not paused")
        self._tell(name, "resumed")

    def do_set(self, name: str, most: int) -> None:
        """At once, on all hosts."""
        pools.resize(name, most)
        self._tell(name, f"at most {most} of its jobs run at once")

    def _tell(self, name: str, done: str) -> None:
        if self.as_json:
            facts = Facts()
            self.print_json(_as_dict(facts.pools[name], facts))
        self.say(f"{name}: {done}")


def _as_dict(pool: Pool, facts: Facts) -> dict[str, Any]:
    running = Counter(lanes.pool_name(job.pool) for job in facts.running)
    pause = facts.paused(Paused.POOL, pool.name)
    return {
        "name": pool.name,
        "state": "paused" if pause else "active",
        "running": running[pool.name],
        "max_parallelism": pool.max_parallelism,
        "key": pool.key,
        "reason": pause.reason if pause else "",
        "paused_at": pause.paused_at if pause else None,
        "paused_until": pause.until if pause else None,
    }


def _why(pool: dict[str, Any], facts: Facts) -> str:
    if not pool["paused_at"]:
        return ""
    until = f", until {when(pool['paused_until'], facts.now)}" if pool["paused_until"] else ""
    return f"since {when(pool['paused_at'], facts.now)}{until} {pool['reason']}".strip()
