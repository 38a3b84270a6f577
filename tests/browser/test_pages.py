"""The admin in a real browser: it draws, in light, dark and narrow; it keeps itself fresh; its buttons work.

Screenshots go to the folder that SCREENSHOTS names, else to pytest's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from markets.models import Exchange, Market, MarketStats, PriceSnapshot, Report, WhaleTrade
from scheduling import Call, FixedWindow, TokenBucket, clock, crons, limits, pools, scheduler, testing
from scheduling.models import Cron, Host, Job, Limit, Pause, Pool
from tests.browser.chromium import Chromium, found
from tests.browser.flowing import flowing
from tests.markets.admin.conftest import FIGURES
from tests.scheduling.admin.functions import fetch, fine, loud

pytestmark = [
    pytest.mark.skipif(found() is None, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]

LOOKS = {
    "light": {"width": 1440, "height": 900},
    "dark": {"width": 1440, "height": 900, "dark": True},
    "phone": {"width": 400, "height": 800},
}
IN_EACH = pytest.mark.parametrize(
    "look", [pytest.param(look, marks=pytest.mark.look if look != "light" else ()) for look in LOOKS]
)
PENDING = "document.querySelector('.tile-pending strong').textContent"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Chromium, live_server, db) -> Chromium:
    """The browser, in which an administrator is logged in."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    cookie = client.cookies["sessionid"].value
    chromium.send("Network.setCookie", name="sessionid", value=cookie, url=live_server.url)
    chromium.look_at(**LOOKS["light"])
    return chromium


@pytest.fixture
def ran(db) -> dict[str, str]:
    """Some history, and the pages to look at."""
    flows = flowing()  # before everything is paused
    cron = crons.register("look-around", 3600, fine, {"n": 3}, description="Looks around once an hour.")
    crons.run_now("look-around")
    failed = scheduler.now(loud, {"note": "no luck"}, retry=False)
    testing.drain()
    scheduler.run_after(3600, fine)
    pool, limit = bounded()
    return {
        "dashboard": "/admin/",
        "jobs": "/admin/scheduling/job/",
        "job": f"/admin/scheduling/job/{failed.pk}/change/",
        "crons": "/admin/scheduling/cron/",
        "cron": f"/admin/scheduling/cron/{cron.pk}/change/",
        "hosts": "/admin/scheduling/host/",
        "pools": "/admin/scheduling/pool/",
        "pool": f"/admin/scheduling/pool/{pool.pk}/change/",
        "limits": "/admin/scheduling/limit/",
        "limit": f"/admin/scheduling/limit/{limit.pk}/change/",
        "functions": "/admin/scheduling/jobfunction/",
        "function": "/admin/scheduling/jobfunction/adminwork.fetch/change/",
        "pauses": "/admin/scheduling/pause/",
        "pause": "/admin/scheduling/pause/add/?what=pool:exchange",
        "waiting": f"/admin/scheduling/job/{Job.objects.pending().latest('pk').pk}/change/",
        "exchanges": "/admin/markets/exchange/",
        "markets": "/admin/markets/market/",
        **followed(),
        **flows,
    }


def bounded() -> tuple[Pool, Limit]:
    """Pools and limits that are in use, and something that is paused."""
    pools.define("exchange", 4, key="market_id")
    pools.define("reports", 2)
    pools.resize("exchange", 2)
    pools.pause("reports", "the disk is full", clock.now() + timedelta(hours=2))
    scheduler.pause(loud, "it wakes the neighbours")
    scheduler.pause(reason="the disk is exchanged", everything=True)
    limits.define("api", TokenBucket(rate=60, period=60, capacity=20))
    limits.define("daily", FixedWindow(rate=100, period=86400, start=0))
    limits.edit("api", rate=30)
    limits.take("daily", count=40)
    for market in (1, 2, "btc-above-100k"):
        limits.take("api", market, count=15)
    jobs = scheduler.bulk([Call(fetch, {"market_id": n % 3}, rate_limit=None) for n in range(9)])
    scheduler.bulk([Call(fine, {"n": n}, pool="reports") for n in range(3)])
    here = Host.objects.first()
    Job.objects.filter(pk__in=[job.pk for job in jobs[:4]]).update(
        state="in_progress", claim=1, attempt=1, host=here, started_at=clock.now(), lane=""
    )
    return Pool.objects.get(name="exchange"), Limit.objects.get(name="api")


def followed() -> dict[str, str]:
    """A market with prices, whale trades and a report, and what the markets came to."""
    now = clock.now()
    for name in ("polymarket", "kalshi"):
        Exchange.objects.get_or_create(id=name, defaults={"title": name.title()})
    asked = {"kind": "binary", "status": "open", "volume": 1_250_000, "closes_at": now + timedelta(days=3)}
    title = "Will Zelda Quimby win the chess cup in Oslo by November 30?"
    market = Market.objects.create(
        exchange_id="polymarket", external_id="12", title=title, slug="zelda", watched=True, **asked
    )
    other = Market.objects.create(exchange_id="kalshi", external_id="KXCHESS-26-ZQ", title=title, **asked)
    for n in range(300):
        at, price = now - timedelta(minutes=30 * n), Decimal(60 + n * n % 17 - n % 11) / 100
        PriceSnapshot.objects.create(market=market, price=price, at=at)
        if n % 9 == 0:
            WhaleTrade.objects.create(
                exchange_id="polymarket", market=market, market_key="0x1", external_key=f"T{n}", outcome="Yes",
                side="sell" if n % 2 else "buy", price=price, size=4000, usd=1000 + 97 * n, traded_at=at,
                wallet="0x" + "4f" * 20,
            )  # fmt: skip
    for n in range(48):
        MarketStats.objects.create(
            total_markets=900 + n, active_markets=700 + n * n % 29, total_volume=10**7 + 10**5 * n,
            average_price=Decimal(40 + n % 5) / 100, computed_at=now - timedelta(hours=48 - n),
        )  # fmt: skip
    there = {"market": other.pk, "exchange": "kalshi", "title": title, "price": "0.6", "difference": "0.02"}
    read = {
        name: {"read_at": now.isoformat(), "count": 12} for name in ("book", "day", "trades", "related", "elsewhere")
    }
    missing = {"month": {"read_at": now.isoformat(), "missing": "GET /prices-history: no answer (ReadTimeout)"}}
    figures = FIGURES | {"elsewhere": [there], "largest_difference": "0.02", "volatility_month": None}
    report = Report.objects.create(market=market, figures=figures, inputs=read | missing)
    return {
        "market": f"/admin/markets/market/{market.pk}/change/",
        "trades": "/admin/markets/whaletrade/",
        "stats": "/admin/markets/marketstats/",
        "reports": "/admin/markets/report/",
        "report": f"/admin/markets/report/{report.pk}/change/",
        "exchange": "/admin/markets/exchange/opinion/change/",
    }


@IN_EACH
def test_every_page_draws(browser, live_server, ran, tmp_path, look):
    browser.look_at(**LOOKS[look])
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in ran.items():
        browser.open(live_server.url + path)
        assert browser.shoot(folder / f"{look}-{name}.png").startswith(b"\x89PNG")
        assert browser.run("document.documentElement.scrollWidth") <= LOOKS[look]["width"], name
        assert browser.complaints() == [], name
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (look != "dark")


def test_the_dashboard_keeps_itself_fresh(browser, live_server):
    browser.open(f"{live_server.url}/admin/")
    assert browser.run(PENDING) == "0"
    scheduler.run_after(3600, fine)
    browser.until(f"{PENDING} === '1'")
    assert browser.complaints() == []


def test_times_are_made_local_and_keep_going(browser, live_server, ran):
    browser.send("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    browser.open(live_server.url + ran["job"])
    time = browser.run("(t => [t.dateTime, t.title, t.textContent])(document.querySelector('time.when'))")
    assert time[1].endswith("UTC")
    assert time[1][:10] == time[0][:10]
    assert time[2] not in time[1]
    before = browser.run("document.querySelector('.ago').textContent")
    browser.until(f"document.querySelector('.ago').textContent !== {before!r}")


def test_a_cron_is_run_paused_and_resumed_by_its_buttons(browser, live_server, ran):
    cron = crons.get("look-around")
    browser.open(live_server.url + ran["cron"])
    browser.press(".verb-run_now")
    assert "Running now: look-around as #" in browser.run("document.querySelector('.messagelist').textContent")
    assert Job.objects.filter(cron="look-around").count() == 2
    browser.open(live_server.url + ran["crons"])
    browser.press(f"[formaction*='/{cron.pk}/do/pause/']")
    browser.run("document.querySelector('#reason').value = 'a look'")
    browser.press(".submit-row [type=submit]")
    assert Cron.objects.get(pk=cron.pk).paused_reason == "a look"
    browser.open(live_server.url + ran["cron"])
    browser.press(".verb-resume")
    assert not Cron.objects.get(pk=cron.pk).paused


def test_a_pool_is_paused_until_a_time_of_the_readers_zone_and_resumed_from_the_dashboard(browser, live_server, ran):
    browser.send("Emulation.setTimezoneOverride", timezoneId="America/New_York")
    browser.open(live_server.url + ran["pause"])
    assert "America/New_York" in browser.run("document.querySelector('form.asking').textContent")
    until = "document.querySelector('#id_until').value"
    browser.run(f"{until} = '2050-07-01T18:30'")
    browser.press(".submit-row [type=submit]")
    assert "Say why" in browser.run("document.querySelector('.errorlist').textContent")
    assert browser.run(until) == "2050-07-01T18:30", "it is given back in the reader's zone"
    browser.run("document.querySelector('#id_reason').value = 'a look'")
    browser.press(".submit-row [type=submit]")
    pause = Pause.objects.get(kind="pool", name="exchange")
    assert pause.until == datetime(2050, 7, 1, 22, 30, tzinfo=UTC)
    assert browser.complaints() == []
    browser.open(f"{live_server.url}/admin/")
    browser.press(f"form[action*='/{pause.pk}/do/resume/'] button")
    assert "Resumed: pool exchange." in browser.run("document.querySelector('.messagelist').textContent")
    assert not Pause.objects.filter(pk=pause.pk).exists()
    browser.send("Emulation.setTimezoneOverride", timezoneId="")


def test_a_function_is_run_with_arguments_that_are_typed_in(browser, live_server, ran):
    browser.open(f"{live_server.url}/admin/scheduling/jobfunction/adminwork.fine/change/")
    browser.run("document.querySelector('#id_arguments').value = '{\"n\": \"many\"}'")
    browser.press("#run [type=submit]")
    assert "n: Input should be a valid integer" in browser.run("document.querySelector('.errorlist').textContent")
    browser.run("document.querySelector('#id_arguments').value = '{\"n\": 12}'")
    browser.press("#run [type=submit]")
    assert "Running now" in browser.run("document.querySelector('.messagelist').textContent")
    assert Job.objects.order_by("-pk").first().args == {"n": 12}


def test_a_schedule_is_previewed_while_it_is_typed(browser, live_server, ran):
    browser.open(live_server.url + ran["cron"])
    write = "(f => {{ f.value = {!r}; f.dispatchEvent(new Event('input')) }})(document.querySelector('#id_spec'))"
    browser.run(write.format("30 9 * * MON"))
    browser.until("document.querySelectorAll('#preview tbody tr').length === 10")
    browser.run(write.format("* * *"))
    assert "has 3 fields" in browser.until("document.querySelector('#preview .error-line')?.textContent")
    assert crons.get("look-around").spec == "3600"


PLACES = """(() => {
    const within = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1;
    const bars = [...document.querySelectorAll("svg.timeline")].map(svg => [svg, [...svg.querySelectorAll(".span")]]);
    const axis = document.querySelector(".timeline-axis").getBoundingClientRect();
    const words = [...document.querySelectorAll(".timeline-axis text")].map(text => text.getBoundingClientRect());
    return {
        lines: document.querySelectorAll(".timeline-table tbody tr").length,
        bars: bars.flatMap(([_svg, spans]) => spans).length,
        outside: bars.flatMap(([svg, spans]) => spans.filter(
            bar => !within(bar.getBoundingClientRect(), svg.getBoundingClientRect()))).length,
        unseen: bars.flatMap(([_svg, spans]) => spans.filter(bar => bar.getBoundingClientRect().width < 1)).length,
        cut: words.filter(word => !within(word, axis)).length,
        overlapping: words.filter((word, n) => n && word.left < words[n - 1].right).length,
    };
})()"""


@IN_EACH
def test_a_timeline_keeps_its_bars_inside_and_its_words_apart(browser, live_server, ran, look):
    browser.look_at(**LOOKS[look])
    for name in ("workflow", "workflow-failed", "workflow-long"):
        browser.open(live_server.url + ran[name])
        seen = browser.run(PLACES)
        assert seen["bars"] >= seen["lines"] > 0, name
        assert not any(seen[what] for what in ("outside", "unseen", "cut", "overlapping")), (name, seen)


def test_a_workflow_is_run_again_from_a_step_of_its_journal(browser, live_server, ran):
    browser.open(live_server.url + ran["workflow-failed"])
    browser.press("#step-2 button[formaction*='/do/restart_from/']")
    assert "1 runs again as #" in browser.run("document.querySelector('.messagelist').textContent")
    new = Job.objects.filter(name="looks.failing").latest("pk")
    assert list(new.journal.order_by("position").values_list("position", flat=True)) == [0, 1]
    browser.press(".verb-restart_from")
    browser.run("document.querySelector('#id_from_step').value = 'no such step'")
    browser.press(".submit-row [type=submit]")
    assert "No step of it has this name." in browser.run("document.querySelector('.errorlist').textContent")
    assert browser.run("document.querySelectorAll('#steps option').length") == 2
