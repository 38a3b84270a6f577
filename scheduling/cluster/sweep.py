"""What the pusher looks for once a second: jobs that have expired, and batches whose looker died."""

from __future__ import annotations

from scheduling import clock
from scheduling.cluster import cancels, fanin
from scheduling.models import Batch

AT_ONCE = 1000  # open batches of one sweep

TO_DO = """
SELECT
    coalesce((
        SELECT expires_at FROM scheduling_job
        WHERE state = 'pending' AND attempt = 0 AND expires_at IS NOT NULL ORDER BY expires_at LIMIT 1
    ) <= {now}, false),
    EXISTS (SELECT 1 FROM scheduling_batch WHERE state = 'open')
"""
"""The first in the order of the index, and not whether there is any: for that the whole table would be read, as the
planner takes a third of it to be earlier than a moment that it does not know (90 ms beside 500,000 pending jobs)."""


class Sweep:
    """One look for both, as an idle host is to ask little; open batches are looked at in turns."""

    def __init__(self) -> None:
        self._after = 0

    def turn(self) -> None:
        """Do what there is to do."""
        now, params = clock.sql()
        with clock.database().cursor() as cursor:
            cursor.execute(TO_DO.format(now=now), params)
            expired, open = cursor.fetchone()
        if expired:
            cancels.expire()
        if open:
            self._batches()

    def _batches(self) -> None:
        some = Batch.objects.open().filter(pk__gt=self._after).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]
        fanin.look(some)
        self._after = some[AT_ONCE - 1] if len(some) == AT_ONCE else 0
