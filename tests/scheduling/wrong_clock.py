"""`python -m tests.scheduling.wrong_clock SECONDS`: one tick on a host whose clock is so many seconds ahead.

All that Python calls the time is wrong: datetime.now() and time.time(), for every module.
"""

from __future__ import annotations

import datetime
import sys
import time

AHEAD = float(sys.argv[1])
_datetime, _time = datetime.datetime, time.time


class _AlsoReal(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _datetime)


class Wrong(_datetime, metaclass=_AlsoReal):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + datetime.timedelta(seconds=AHEAD)


datetime.datetime = Wrong
time.time = lambda: _time() + AHEAD

if __name__ == "__main__":
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    from scheduling import crons
    from scheduling.cluster import ticker
    from tests.scheduling import work

    ticks = ticker.tick()
    crons.register(f"registered {AHEAD:g}", 3600, work.noop)
    print(ticks)
