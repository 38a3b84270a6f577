"""The sync: what it writes, what it keeps of itself, and how it fails."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from markets.exceptions import SyncFailed, UnknownExchange, Unreachable
from markets.exchanges.wire import Wire
from markets.models import Exchange, Market, SyncLog
from markets.sync import sync_exchange, sync_exchanges
from markets.writing import write_page
from scheduling import clock

pytestmark = pytest.mark.django_db(transaction=True)


def test_markets_go_in_and_a_second_sync_changes_nothing(following):
    exchange = following(topics=60)
    first = sync_exchange("opinion")
    assert first.created == first.seen == Market.objects.count() > 60
    assert (first.updated, first.unchanged, first.rejected, first.requests) == (0, 0, 0, 3)
    assert Market.objects.filter(parent=None).count() == 60
    assert not Market.objects.filter(kind="categorical").exclude(parent=None).exists()
    second = sync_exchange("opinion")
    assert (second.seen, second.unchanged) == (first.seen, first.seen)
    assert (second.created, second.updated, second.requests) == (0, 0, 3)
    assert exchange.requests == 6


def test_what_moved_is_updated(following):
    exchange = following(topics=60)
    first = sync_exchange("opinion")
    exchange.step(3600)
    second = sync_exchange("opinion")
    assert second.updated > 0 and second.rejected == 0
    assert second.seen == second.created + second.updated + second.unchanged
    assert Market.objects.count() == first.seen + second.created


def test_what_is_no_longer_listed_is_read_again(following):
    exchange = following(topics=20)
    sync_exchange("opinion")
    exchange.step(60 * 86_400)
    listed = {str(topic.number) for topic in exchange.world.activated(exchange.now)}
    gone = Market.objects.open().exclude(external_id__in=listed)
    assert gone.exists()
    keys = set(gone.values_list("pk", flat=True))
    sync_exchange("opinion")
    ended = Market.objects.filter(pk__in=keys).exclude(status="open")
    assert ended.filter(status="resolved", resolved_at__isnull=False).exists()
    left = {row.key for page in walk() for row in page.rows}
    for market in Market.objects.open():
        assert (market.kind, market.external_id) in left


def walk():
    from markets.exchanges.opinion.client import OpinionClient

    return list(OpinionClient().pages())


def test_a_market_that_is_gone_is_closed(following):
    following(topics=20)
    Market.objects.create(
        exchange_id="opinion", kind="binary", external_id="999999999", title="?", status="open", volume=1
    )
    result = sync_exchange("opinion")
    assert result.updated == 1 and Market.objects.get(external_id="999999999").status == "closed"


def gone(number, **changed):
    fields = {"exchange_id": "opinion", "kind": "binary", "title": "?", "status": "open", "volume": 1}
    return Market.objects.create(**fields | {"external_id": f"99999999{number}"} | changed)


def test_few_are_read_again_at_a_time(following, monkeypatch):
    following(topics=20)
    for number in range(5):
        gone(number)
    monkeypatch.setattr("markets.unlisted.MAX_REREAD", 2)
    assert [sync_exchange("opinion").updated for _ in range(4)] == [2, 2, 1, 0]


def test_what_is_closed_is_read_again_until_it_is_resolved(following):
    exchange = following(topics=20)
    sync_exchange("opinion")
    while not (closed := Market.objects.filter(status="closed").first()):
        exchange.step(60)
        sync_exchange("opinion")
    exchange.step(700)
    sync_exchange("opinion")
    closed.refresh_from_db()
    assert closed.status == "resolved" and closed.resolved_at


def test_the_longer_it_has_been_closed_the_more_rarely_it_is_read_again(following):
    following(topics=1)
    sync_exchange("opinion")
    now = clock.now()
    ages = {0: (0.5, 1), 1: (2, 1), 2: (2, 70), 3: (20, 70), 4: (20, 1500), 5: (90, 1500), 6: (90, 11_000)}
    for number, (days, minutes) in ages.items():
        changed, asked = now - timedelta(days=days), now - timedelta(minutes=minutes)
        gone(number, status="closed", updated_at=changed, asked_at=asked)
    sync_exchange("opinion")
    again = Market.objects.filter(status="closed", asked_at__gte=now).values_list("external_id", flat=True)
    assert sorted(id[-1] for id in again) == ["0", "2", "4", "6"]
    sync_exchange("opinion")
    assert Market.objects.filter(status="closed", asked_at__gte=now).count() == 4


def test_broken_rows_are_kept_and_the_others_go_in(following):
    exchange = following(topics=20)
    exchange.fault("broken_rows", rows=3, requests=1)
    result = sync_exchange("opinion")
    log = SyncLog.objects.get()
    assert (result.rejected, log.rejected, log.state) == (3, 3, "success")
    assert Market.objects.filter(parent=None).count() == 17
    assert len(log.rejected_rows) == 3
    assert all(row["reason"] and row["raw"] for row in log.rejected_rows)
    assert sync_exchange("opinion").rejected == 0
    assert Market.objects.filter(parent=None).count() == 20


def test_a_row_that_is_broken_later_keeps_its_market(following):
    exchange = following(topics=20)
    sync_exchange("opinion")
    exchange.fault("broken_rows", rows=20, requests=1)
    result = sync_exchange("opinion")
    assert (result.rejected, result.updated, result.requests) == (20, 0, 1)
    assert not Market.objects.exclude(status="open").filter(parent=None).exists()


def test_at_most_fifty_broken_rows_are_kept(following):
    exchange = following(topics=80)
    exchange.fault("broken_rows", rows=20)
    sync_exchange("opinion")
    log = SyncLog.objects.get()
    assert (log.rejected, log.created, len(log.rejected_rows)) == (80, 0, 50)


@pytest.mark.parametrize("fault", ["down", "cut", "not_json", "errno", "http_error", "wrong_types", "too_many"])
def test_an_exchange_in_trouble_leaves_a_failed_log(following, fault):
    exchange = following()
    exchange.fault(fault, **({"retry_after": 0} if fault == "too_many" else {}))
    with pytest.raises(Exception, match="GET /market"):
        sync_exchange("opinion")
    log = SyncLog.objects.get()
    assert log.state == "failed" and "GET /market" in log.error and log.finished_at
    assert log.seen == 0 and log.requests > 0


def test_what_the_exchange_said_is_for_operators_only(following):
    exchange = following()
    exchange.fault("errno")
    with pytest.raises(Exception) as caught:
        sync_exchange("opinion")
    assert caught.value.said and caught.value.said not in str(caught.value)
    assert caught.value.said in SyncLog.objects.get().error


def test_what_was_written_before_the_trouble_stays(following):
    exchange = following(topics=60)

    def then_fall(done, total, note):
        exchange.fault("down")

    with pytest.raises(Unreachable):
        sync_exchange("opinion", progress=then_fall)
    log = SyncLog.objects.get()
    assert log.state == "failed" and log.created == Market.objects.count() > 0


class Stopped(BaseException):
    """Such as a canceled job."""


def test_a_stopped_sync_closes_its_log(following):
    following()

    def stop(done, total, note):
        raise Stopped("by an operator")

    with pytest.raises(Stopped):
        sync_exchange("opinion", progress=stop)
    assert SyncLog.objects.get().state == "failed" and SyncLog.objects.get().error == "Stopped: by an operator"


def test_nothing_is_fetched_inside_a_transaction(following, monkeypatch):
    following(topics=40)
    inside = []
    send = Wire._launch

    def look(self, request, threads):
        inside.append(connection.in_atomic_block)
        return send(self, request, threads)

    monkeypatch.setattr(Wire, "_launch", look)

    def write(**options):
        with transaction.atomic():
            return write_page(**options)

    sync_exchange("opinion", write=write)
    assert inside == [False, False]


def test_progress(following):
    following(topics=50)
    told = []
    sync_exchange("opinion", progress=lambda *said: told.append(said))
    assert [(done, total) for done, total, _ in told] == [(20, 50), (40, 50), (50, 50)]


@pytest.mark.parametrize("name", ["nowhere", "kalshi"])
def test_an_exchange_that_cannot_be_synced(name):
    with pytest.raises(UnknownExchange, match=name):
        sync_exchange(name)
    assert not SyncLog.objects.exists()


def test_the_others_run_where_one_fails(following, monkeypatch):
    following(topics=20)
    Exchange.objects.create(id="broken", title="Broken")
    Exchange.objects.create(id="off", title="Off", enabled=False)

    def broken():
        raise Unreachable("GET /market: no answer")

    from markets.exchanges import CATALOGUES

    monkeypatch.setitem(CATALOGUES, "broken", broken)
    monkeypatch.setitem(CATALOGUES, "off", broken)
    with pytest.raises(SyncFailed, match="broken: GET /market: no answer") as caught:
        sync_exchanges()
    assert [result.exchange for result in caught.value.results] == ["opinion"]
    assert dict(SyncLog.objects.values_list("exchange_id", "state")) == {"broken": "failed", "opinion": "success"}
