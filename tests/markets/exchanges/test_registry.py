"""Which exchanges can be asked for what."""

import pytest

from markets.exceptions import UnknownExchange
from markets.exchanges import CATALOGUES, QUOTES, TAPES, catalogue, quotes, tape
from markets.setup import TITLES

pytestmark = pytest.mark.django_db


def test_each_exchange_has_a_catalogue():
    assert set(CATALOGUES) == set(TITLES)


@pytest.mark.parametrize(("registry", "of"), [(CATALOGUES, catalogue), (TAPES, tape), (QUOTES, quotes)])
def test_clients_reach_the_hosts_of_the_settings_alone(registry, of, settings):
    settings.POLYMARKET_GAMMA_URL = settings.POLYMARKET_DATA_URL = "https://p.example/x/"
    settings.POLYMARKET_CLOB_URL, settings.KALSHI_API_URL = "https://c.example", "https://k.example/v2"
    roots = {"polymarket": "https://p.example/x", "kalshi": "https://k.example/v2"}
    for name in {"polymarket", "kalshi"} & set(registry):
        client = of(name)
        assert client.wire.root == roots[name] and client.wire.requests == 0 and client.wire.secrets == ()
        client.close()
    assert {"polymarket", "kalshi"} <= set(registry)


@pytest.mark.parametrize("of", [catalogue, tape, quotes])
def test_an_exchange_that_is_not_known(of):
    with pytest.raises(UnknownExchange, match=r"'mars'; known: .*kalshi, .*polymarket"):
        of("mars")
