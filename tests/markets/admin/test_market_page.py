"""A market's page: prices, whale trades, its topic, its reports; analyse, watch, unwatch."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry

from markets.exchanges import QUOTES
from scheduling import clock
from scheduling.models import Job
from tests.markets.admin.conftest import BUDGET, listed, page_of, verb
from tests.markets.analysis.quoted import Quoted, a_book
from tests.scheduling.admin.functions import HOSTILE

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _opinion_quotes(monkeypatch):
    monkeypatch.setitem(QUOTES, "opinion", lambda: Quoted(on_book=a_book(clock.now())))


def test_prices_are_a_line_and_whale_trades_marks_on_it(viewer, market, trade, priced):
    mine = market()
    priced(mine, "0.50", "0.60", "0.55")
    trade(mine, 5000, side="sell", outcome="No")
    trade(mine, 1000)
    page = viewer.look(page_of(mine))
    assert page.count("<polyline") == 1
    assert page.count('class="mark mark-failed"') == page.count('class="mark mark-success"') == 1
    assert "sell No at 0.5 for $5,000" in page
    assert "<title>$6,000</title>" in page, "what was traded in that part of the time"
    assert viewer.queries <= BUDGET


def test_the_chart_is_of_a_time_that_is_chosen(viewer, market, trade):
    mine = market()
    trade(mine, 5000, hours=40)
    assert "$5,000" in viewer.look(page_of(mine))
    assert "no whale trades seen" in viewer.look(page_of(mine), days="1")
    assert "$5,000" in viewer.look(page_of(mine), days="365")
    assert "$5,000" in viewer.look(page_of(mine), days="../../etc")


def test_a_market_without_anything_says_so(viewer, market):
    page = viewer.look(page_of(market()))
    assert "Nothing is known of this time" in page
    assert "It has not been analysed yet." in page


def test_a_page_takes_as_many_queries_however_much_there_is(viewer, market, trade, priced, report):
    topic = market(kind="categorical")
    mine = market(parent=topic)
    viewer.look(page_of(mine))
    few = viewer.queries
    priced(mine, *["0.5", "0.6"] * 50)
    for n in range(30):
        trade(mine, hours=n)
        market(parent=topic)
        report(mine)
    page = viewer.look(page_of(mine))
    assert viewer.queries == few <= BUDGET
    assert page_of(topic) in page and topic.title in page
    assert page.count("sampled") == 0 and page.count(">read<") == 5


def test_its_last_report_tells_of_other_exchanges(viewer, market, report):
    mine, other = market(), market(exchange_id="kalshi")
    there = {"market": other.pk, "exchange": "kalshi", "title": other.title, "price": "0.6", "difference": "0.02"}
    report(mine, elsewhere=[there])
    report(mine, at=clock.now() - timedelta(days=1))
    page = viewer.look(page_of(mine))
    assert "The same question elsewhere" in page and page_of(other) in page


def test_analyse_now_needs_the_permission_and_leaves_a_job_and_an_entry(viewer, operator, market):
    mine = market(title=HOSTILE)
    assert viewer.post(verb(mine, "analyse")).status_code == 403
    assert not Job.objects.exists()
    assert "Analyse now" not in viewer.look(page_of(mine))
    assert "Analyse now" in operator.look(page_of(mine))
    page = operator.press(verb(mine, "analyse")).content.decode()
    job = Job.objects.get()
    assert (job.name, job.args) == ("markets.analyse_market", {"market_id": mine.pk})
    assert f">#{job.pk}</a>" in page and "<script>alert" not in page
    assert LogEntry.objects.get().object_id == str(mine.pk)
    page = operator.press(verb(mine, "analyse")).content.decode()
    assert "is analysed already" in page
    assert (Job.objects.count(), LogEntry.objects.count()) == (1, 1)


def test_a_topic_is_not_analysed(operator, market):
    topic = market(kind="categorical")
    assert "Analyse now" not in operator.look(page_of(topic))
    assert "a topic has no price" in operator.press(verb(topic, "analyse")).content.decode()
    assert not Job.objects.exists()


def test_watch_and_unwatch(viewer, operator, market):
    mine = market()
    assert viewer.post(verb(mine, "watch")).status_code == 403
    page = operator.press(verb(mine, "watch")).content.decode()
    mine.refresh_from_db()
    assert mine.watched and "1 watched." in page
    assert "Unwatch" in page and LogEntry.objects.get().get_change_message() == "Watched."
    assert "1 were watched before." in operator.press(verb(mine, "watch")).content.decode()
    operator.press(verb(mine, "unwatch"))
    mine.refresh_from_db()
    assert not mine.watched
    assert LogEntry.objects.count() == 2


def test_several_are_watched_at_once_but_no_topics(operator, market):
    rows = [market(), market(), market(kind="categorical")]
    page = operator.press(listed("market"), action="watch", _selected_action=[row.pk for row in rows])
    assert "2 watched, 1 have no price that could be asked for." in page.content.decode()
    assert "watched" in operator.look(listed("market"), watched__exact="1")


def test_everything_asks_for_a_post(operator, market):
    mine = market()
    for name in ("analyse", "watch", "unwatch"):
        assert operator.get(verb(mine, name)).status_code == 405
