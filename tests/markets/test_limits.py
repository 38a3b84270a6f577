"""The rates at which exchanges are asked, as limits."""

import pytest

from markets.limits import AHEAD, DATA, KALSHI, OPINION, RATES, SECOND, WHALES, in_force
from scheduling import limits, testing
from scheduling.models import Limit

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_is_there_for_operators_once_it_is_kept_to():
    assert in_force(*RATES, WHALES) == (*RATES, WHALES)
    assert {*RATES, WHALES} <= set(Limit.objects.values_list("name", flat=True))


def test_a_rate_follows_its_setting(settings):
    settings.OPINION_RATE = 50
    assert in_force(OPINION) == (OPINION,) and Limit.objects.get(name=OPINION).rate == 50
    settings.OPINION_RATE = 7
    assert in_force(OPINION) == (OPINION,) and Limit.objects.get(name=OPINION).rate == 7


def test_a_rate_of_zero_is_no_limit(settings):
    settings.KALSHI_RATE = settings.POLYMARKET_DATA_RATE = 0
    assert in_force(KALSHI, WHALES, DATA) == (WHALES,)


def test_what_an_operator_changed_stays(settings):
    in_force(OPINION)
    limits.edit(OPINION, rate=1)
    in_force(OPINION)
    assert Limit.objects.get(name=OPINION).rate == 1


def test_requests_are_spaced_and_nobody_waits_for_long(settings):
    settings.OPINION_RATE = 20
    in_force(OPINION)
    waits = []
    with testing.clock():
        while (taken := limits.take(OPINION, reserve=True)).ok:
            waits.append(taken.retry_after or 0)
    assert waits[:4] == pytest.approx([0, 0.051, 0.102, 0.153], abs=0.0001)
    assert len(waits) == 20 * AHEAD + 1 and waits[-1] == pytest.approx(AHEAD * SECOND)


def test_all_syncs_of_trades_together_send_60_requests_a_minute():
    in_force(WHALES)
    assert sum(limits.take(WHALES, reserve=True).ok for _ in range(130)) in (60, 120), "120: a minute began meanwhile"
