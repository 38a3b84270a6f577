"""Shows the whole project at work on this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from markets import demo

LOOK = 0.5  # seconds
OURS = "MARKETS_DEMO"  # set in the environment once the database has been chosen


class Command(BaseCommand):
    """`manage.py demo`."""

    help = (
        "Set up a database, an admin user and a simulated exchange, and run workers and the web server, "
        "until Ctrl-C. A second start goes on with the same data."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The kind of database, and whether to start anew."""
        parser.add_argument("--db", choices=["sqlite", "postgres"], default="sqlite", help="database of the demo's own")
        parser.add_argument("--reset", action="store_true", help="start anew, without the data of earlier demos")

    def handle(self, *args: Any, **options: Any) -> None:
        """Choose the database and begin again on it; then set up, start, and watch."""
        if OURS not in os.environ:
            self._begin_on_own_database(options)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        tree = None
        try:
            self._set_up(options)
            tree = demo.Tree(demo.free_port(demo.WEB_PORT, self._say), demo.free_port(demo.EXCHANGE_PORT, self._say))
            tree.start()
            self._welcome(tree)
            self._watch(tree)
        except KeyboardInterrupt:
            self._say("\nstopping…")
        finally:
            if tree:
                tree.stop()
            if os.environ[OURS] == "postgres":
                connection.close()
                demo.embedded_postgres.stop(demo.POSTGRES)
        self._say("stopped; `make demo` goes on with the same data, `make demo RESET=1` starts anew")

    def _begin_on_own_database(self, options: dict[str, Any]) -> None:
        """Django has read its settings already: start again with the demo's own in the environment."""
        given = bool(os.environ.get("DATABASE_URL"))
        if options["reset"]:
            demo.forget(options["db"])
        os.environ["DATABASE_URL"] = demo.database_url(options["db"])
        os.environ[OURS] = "given" if given else options["db"]
        os.environ["SYNC_MARKETS_EVERY"] = str(demo.SYNC_EVERY)
        os.environ["EXCHANGES"] = demo.EXCHANGES
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - ourselves

    def _set_up(self, options: dict[str, Any]) -> None:
        self._say(f"database: {connection.vendor} ({connection.settings_dict['NAME']})")
        call_command("migrate", verbosity=0)
        if options["reset"] and os.environ[OURS] == "given":
            call_command("flush", interactive=False, verbosity=0)
        self._admin_user()

    def _admin_user(self) -> None:
        from django.contrib.auth import get_user_model

        user, _created = get_user_model().objects.get_or_create(
            username="admin", defaults={"is_staff": True, "is_superuser": True}
        )
        if not user.check_password(demo.password()):
            user.set_password(demo.password())
            user.save()

    def _welcome(self, tree: demo.Tree) -> None:
        self._say(
            f"\n  http://{demo.HOST}:{tree.web_port}/admin/\n"
            f"  user admin, password {demo.password()}\n\n"
            f"Three simulated exchanges move on port {tree.exchange_port}: markets are read every {demo.SYNC_EVERY} s, "
            f"trades every minute.\nIn the admin: watch the dashboard, run sync-markets now, pause it, resume it.\n"
            f"Logs are in {demo.FOLDER / 'log'}. Ctrl-C stops everything.\n"
        )

    def _watch(self, tree: demo.Tree) -> None:
        said = ""
        while True:
            time.sleep(LOOK)
            tree.mend(self._say)
            said = self._say_progress(said)

    def _say_progress(self, said: str) -> str:
        from markets.models import Market, WhaleTrade
        from scheduling.models import Job, State

        try:
            markets, trades = Market.objects.count(), WhaleTrade.objects.count()
            syncs = Job.objects.filter(cron="sync-markets", state=State.SUCCESS).count()
        except DatabaseError:
            connection.close()
            return said
        words = f"{markets} markets, {trades} whale trades, {syncs} finished sync{'s' * (syncs != 1)}"
        if words != said:
            self._say(words)
        return words

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()
