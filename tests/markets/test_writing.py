"""What is written of a page, and at what price."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from markets.models import Market, PriceSnapshot, given
from markets.models.upsert import FIND, KEY
from markets.results import Counts
from markets.writing import close_gone, record_price, write_page
from tests.markets.rows import row

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
TOPIC = row(9, kind="categorical", yes_token=None, closes_at=AT, labels=("Weather", "Sea"))
PAGE = [TOPIC, row(21, parent="9", closes_at=AT), row(22, parent="9"), row(9), row(1, slug="one")]


def write(rows, at=AT):
    return write_page(exchange="opinion", rows=rows, at=at)


def statements(rows, at=LATER):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        write(rows, at)
    return [query["sql"] for query in captured.captured_queries]


def test_rows_go_in():
    assert write(PAGE) == Counts(created=5)
    child = Market.objects.get(kind="binary", external_id="21")
    assert (child.parent.kind, child.parent.external_id) == ("categorical", "9")
    assert child.closes_at == AT and child.first_seen_at == child.updated_at == AT
    assert child.volume == Decimal("12.500000000000000001") and child.yes_token == "7" * 77
    assert child.parent.labels == ["Weather", "Sea"] and child.parent.yes_token is None
    assert Market.objects.get(external_id="1").parent is None


def test_what_is_written_is_what_django_would_write():
    write([replace(TOPIC, closes_at=AT.replace(microsecond=5), resolved_at=AT)])
    kept = Market.objects.get()
    kept.save()
    assert Market.objects.filter(closes_at=AT.replace(microsecond=5), volume=TOPIC.volume, labels=kept.labels).exists()
    assert Market.objects.filter(resolved_at__lte=AT, closes_at__gt=AT).exists()


def test_an_unchanged_page_writes_nothing():
    write(PAGE)
    assert write(PAGE, LATER) == Counts(unchanged=5)
    assert not Market.objects.exclude(updated_at=AT).exists()


def test_an_unchanged_page_costs_two_reads():
    write(PAGE)
    reads = statements(PAGE)
    assert len(reads) == 2 and all(read.strip().startswith("SELECT") for read in reads)


def test_what_is_there_is_found_by_the_unique_key_alone_however_little_is_known_of_the_table():
    write([row(number) for number in range(2_000)])
    text = given.as_json(PAGE, KEY, {}, connection)
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        statement = f"{explain} {FIND.format(given=given.table(KEY, connection.vendor))}"
        cursor.execute(statement, {"exchange": "opinion", "rows": text})
        plan = str(cursor.fetchall())
    assert "market_once" in plan or "exchange_id=? AND kind=? AND external_id=?" in plan


@pytest.mark.parametrize("size", [4, 400])
def test_a_new_page_costs_three_statements(size):
    rows = [row(number, parent="9") for number in range(1, size)]
    assert len(statements([TOPIC, *rows])) == 3


@pytest.mark.parametrize("size", [4, 400])
def test_a_changed_page_costs_four_statements(size):
    rows = [TOPIC, *(row(number, parent="9") for number in range(1, size))]
    write(rows)
    changed = [replace(row, volume=row.volume + 1) for row in rows]
    assert len(statements(changed)) == 4
    assert set(Market.objects.values_list("volume", flat=True)) == {Decimal("13.500000000000000001")}


def test_only_rows_that_changed_are_written():
    write(PAGE)
    assert write([*PAGE[:4], replace(PAGE[4], title="Another")], LATER) == Counts(updated=1, unchanged=4)
    assert list(Market.objects.filter(updated_at=LATER).values_list("title", flat=True)) == ["Another"]
    assert Market.objects.get(title="Another").first_seen_at == AT


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another"}, {"status": "closed"}, {"volume": Decimal("12.500000000000000002")},
        {"closes_at": LATER}, {"resolved_at": LATER}, {"yes_token": None}, {"no_token": "1"}, {"slug": "s"},
        {"labels": ("New",)}, {"parent": "9"},
    ],
)  # fmt: skip
def test_each_change_is_seen_once(change):
    write([TOPIC, row(1)])
    changed = replace(row(1), **change)
    assert write([changed], LATER) == Counts(updated=1)
    assert write([changed], LATER) == Counts(unchanged=1)


def test_a_record_without_parent_and_closing_time_takes_neither_away():
    write([TOPIC, row(21, parent="9", closes_at=AT)])
    assert write([row(21)], LATER) == Counts(unchanged=1)
    assert write([row(21, status="resolved")], LATER) == Counts(updated=1)
    child = Market.objects.get(external_id="21")
    assert child.parent.external_id == "9" and child.closes_at == AT and child.status == "resolved"


def test_a_row_that_comes_twice_counts_once():
    assert write([row(1), row(1, title="Last")]) == Counts(created=1)
    assert Market.objects.get().title == "Last"


def test_an_empty_page_costs_nothing():
    assert statements([]) == [] and write([]) == Counts()


def test_other_exchanges_keep_their_rows(another_exchange):
    write_page(exchange=another_exchange, rows=PAGE, at=AT)
    assert write(PAGE) == Counts(created=5)
    assert Market.objects.of("opinion").get(external_id="21").parent.exchange_id == "opinion"


@pytest.fixture
def another_exchange():
    from markets.models import Exchange

    return Exchange.objects.create(id="another", title="Another").pk


def test_text_with_quotes_and_percent_signs_is_only_text():
    odd = """100% '); DROP TABLE markets_market; -- %(at)s "x" \\ é 😀"""
    write([row(1, title=odd, labels=(odd,))])
    assert Market.objects.get().title == odd and Market.objects.get().labels == [odd]


@pytest.mark.django_db(transaction=True)
def test_a_page_goes_in_whole_or_not_at_all():
    unknown = row(5, parent="9", kind="neither")
    with pytest.raises(IntegrityError):
        write([*PAGE, unknown])
    assert not Market.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_unchanged_page_leaves_no_trace_in_the_table():
    if connection.vendor != "postgresql":
        pytest.skip("asks PostgreSQL's own statistics")
    write(PAGE)

    def touched():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(
                "SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = 'markets_market'"
            )
            return cursor.fetchone()

    before = touched()
    write(PAGE, LATER)
    assert touched() == before
    write([replace(PAGE[0], title="Another")], LATER)
    assert touched() != before


def test_a_market_that_is_gone_is_closed_with_its_children():
    write(PAGE)
    write([replace(PAGE[1], status="resolved")])
    assert close_gone(exchange="opinion", kind="categorical", external_id="9", at=LATER) == Counts(updated=2)
    states = dict(Market.objects.filter(updated_at=LATER).values_list("external_id", "status"))
    assert states == {"9": "closed", "22": "closed"}
    assert Market.objects.get(kind="binary", external_id="9").status == "open"


def test_prices():
    write([row(1)])
    market = Market.objects.get()
    assert record_price(market=market, price=Decimal("0.42"), at=LATER)
    assert record_price(market=market, price=Decimal("0.40"), at=AT)
    assert not record_price(market=market, price=Decimal("0.99"), at=AT)
    market.refresh_from_db()
    assert (market.last_price, market.price_at) == (Decimal("0.42"), LATER)
    assert list(PriceSnapshot.objects.order_by("at").values_list("price", flat=True)) == [
        Decimal("0.40"),
        Decimal("0.42"),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_that_write_the_same_page_at_once_both_succeed():
    """The second waits for the first, and then finds its rows there, or updates what it thought was new."""
    wrote, release = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            write(PAGE)
            wrote.set()
            release.wait(10)
        connection.close()

    def second():
        counts.append(write([replace(row, title="Second") for row in PAGE], LATER))
        connection.close()

    counts = []
    threads = [threading.Thread(target=target) for target in (first, second)]
    threads[0].start()
    assert wrote.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive(), "it waits"
    release.set()
    for thread in threads:
        thread.join(10)
    assert counts in ([Counts(created=5)], [Counts(updated=5)])
    assert set(Market.objects.values_list("title", flat=True)) == {"Second"} and Market.objects.count() == 5
