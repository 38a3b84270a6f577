"""Opinion's payloads into rows: each way in which its answers differ from what one would expect."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from markets.exceptions import BadAnswer, Refused
from markets.exchanges.opinion import parsing
from tests.markets.rows import binary_entry, child_entry, envelope, topic_entry

CLOSES = datetime(2026, 12, 31, tzinfo=UTC)


def read(*entries):
    return parsing.listing(parsing.result(envelope(*entries), path="/market"), path="/market")


def only(entry):
    page = read(entry)
    assert page.rejected == ()
    return page.rows[0]


def reason(entry):
    page = read(entry)
    assert page.rows == () and len(page.rejected) == 1
    return page.rejected[0].reason


def test_a_binary_market():
    row = only(binary_entry(5, volume="11462989.017", resolvedAt=0))
    assert row.key == ("binary", "5") and row.parent is None and row.status == "open"
    assert row.volume == Decimal("11462989.017") and isinstance(row.volume, Decimal)
    assert row.closes_at == CLOSES and row.resolved_at is None
    assert row.yes_token == "7" * 77 and row.slug == "option-5" and row.labels == ("Weather",)


def test_children_follow_their_topic_and_take_its_closing_time():
    page = read(topic_entry(9, child_entry(21), child_entry(22, cutoffAt=1_798_675_201)))
    parent, first, second = page.rows
    assert parent.key == ("categorical", "9") and parent.yes_token is None
    assert first.key == ("binary", "21") and first.parent == "9" and first.closes_at == CLOSES
    assert second.closes_at > CLOSES
    assert page.length == 1


def test_ids_of_topics_and_markets_may_be_the_same():
    page = read(topic_entry(7, child_entry(7)), binary_entry(8))
    assert [row.key for row in page.rows] == [("categorical", "7"), ("binary", "7"), ("binary", "8")]


@pytest.mark.parametrize(
    ("number", "status"),
    [(1, "open"), (2, "open"), (3, "closed"), (4, "resolved"), (5, "closed"), (6, "closed")],
)
def test_status_comes_from_the_number(number, status):
    assert only(binary_entry(status=number, statusEnum="Nonsense")).status == status


@pytest.mark.parametrize(
    ("own", "children", "status"),
    [
        (1, (2, 4), "open"),
        (1, (4, 4), "resolved"),
        (2, (4, 3), "closed"),
        (2, (5, 6), "closed"),
        (4, (2, 2), "resolved"),
        (1, (), "open"),
    ],
)
def test_status_of_a_topic_comes_from_its_children_where_its_own_says_nothing(own, children, status):
    entries = [child_entry(30 + place, status=number) for place, number in enumerate(children)]
    assert only(topic_entry(9, *entries, status=own)).status == status


@pytest.mark.parametrize("nothing", [0, "", None])
def test_nothing_is_none(nothing):
    row = only(binary_entry(cutoffAt=nothing, resolvedAt=nothing))
    assert row.closes_at is None and row.resolved_at is None


@pytest.mark.parametrize("nothing", ["", None])
def test_empty_text_is_none(nothing):
    row = only(binary_entry(yesTokenId=nothing, noTokenId=nothing, slug=nothing, labels=None))
    assert (row.yes_token, row.no_token, row.slug, row.labels) == (None, None, None, ())


def test_fields_come_and_go_with_versions():
    old = binary_entry(madeUpLater={"a": [1]})
    for name in ("slug", "labels", "rebate", "marketType", "childMarkets", "cutoffAt", "conditionId"):
        del old[name]
    assert only(old).kind == "binary"


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        ("1465856464.247000000000000000", "1465856464.247"),
        ("8686.887999999999", "8686.887999999999"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
        ("0.1234567890123456785", "0.123456789012345678"),
        ("1.5e3", "1500"),
        ("-0", "0"),
        (7, "7"),
    ],
)
def test_volumes_are_exact(given, amount):
    volume = only(binary_entry(volume=given)).volume
    assert volume == Decimal(amount) and not volume.is_signed()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("marketId", None), ("marketId", 0), ("marketId", -4), ("marketId", True), ("marketId", "x"),
        ("marketTitle", ""), ("marketTitle", None), ("marketTitle", 5), ("marketTitle", "x" * 2001),
        ("status", 0), ("status", 7), ("status", None), ("status", True), ("status", "open"),
        ("volume", "abc"), ("volume", "NaN"), ("volume", "Infinity"), ("volume", "-1"), ("volume", "1e25"),
        ("volume", None), ("volume", ""), ("volume", []), ("volume", True), ("volume", "1_000"),
        ("cutoffAt", -1), ("cutoffAt", "soon"), ("cutoffAt", 1_798_675_200_000), ("cutoffAt", []),
        ("resolvedAt", False), ("yesTokenId", "9" * 81), ("noTokenId", {}),
        ("slug", "s" * 256), ("labels", "x"), ("marketType", 2), ("childMarkets", "none"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_rejected_and_names_its_field(field, value):
    assert field in reason(binary_entry(**{field: value}))


@pytest.mark.parametrize("field", ["marketId", "marketTitle", "status", "volume"])
def test_what_must_be_there_must_be_there(field):
    entry = binary_entry()
    del entry[field]
    assert field in reason(entry)


@pytest.mark.parametrize("entry", [None, 5, "text", [], {}])
def test_an_entry_that_is_no_object_is_rejected(entry):
    assert reason(entry)


def test_a_bad_entry_leaves_the_others():
    page = read(binary_entry(1), binary_entry(2, volume="x"), binary_entry(3))
    assert [row.external_id for row in page.rows] == ["1", "3"]
    assert [bad.external_id for bad in page.rejected] == ["2"] and page.length == 3


def test_a_bad_child_leaves_its_topic_and_sisters():
    page = read(topic_entry(9, child_entry(21, status=4), child_entry(22, volume="x")))
    assert [row.key for row in page.rows] == [("categorical", "9"), ("binary", "21")]
    assert page.rows[0].status == "open", "the child that was not read may trade"
    assert [bad.external_id for bad in page.rejected] == ["22"]


def test_a_binary_market_has_no_children():
    assert "children" in reason(binary_entry(childMarkets=[child_entry()]))


def test_children_go_with_a_bad_topic():
    page = read(topic_entry(9, child_entry(21), marketTitle=None))
    assert page.rows == () and [bad.external_id for bad in page.rejected] == ["9"]


def test_what_is_kept_of_a_bad_entry_is_cut_and_clean():
    entry = binary_entry(marketTitle="a\x00b\x1b[31m" + "x" * 9000, volume="no", apikey="hunter2", note="K3Y")
    inside = parsing.result(envelope(entry), path="/market")
    (bad,) = parsing.listing(inside, path="/market", secrets=("K3Y",)).rejected
    assert len(bad.raw) <= 500 and len(bad.reason) <= 300
    assert not any(ord(letter) < 32 for letter in bad.raw)
    entry["marketTitle"] = "short"
    (bad,) = parsing.listing(parsing.result(envelope(entry), path="/m"), path="/m", secrets=("K3Y",)).rejected
    assert "hunter2" not in bad.raw and "K3Y" not in bad.raw


def test_text_is_made_printable():
    row = only(binary_entry(marketTitle=" Will\x00 it\n\nrain? \ud83d\ude00\ud800 ", labels=["a\x00b", " "]))
    assert row.title == "Will it rain?" and row.labels == ("a b",)


@pytest.mark.parametrize("empty", [None, []])
def test_an_empty_page_may_be_null(empty):
    inside = parsing.result({"errno": 0, "errmsg": "", "result": {"list": empty, "total": 0}}, path="/market")
    page = parsing.listing(inside, path="/market")
    assert (page.rows, page.rejected, page.length, page.total) == ((), (), 0, 0)


def test_both_forms_of_the_envelope():
    assert parsing.result({"errno": 0, "errmsg": "", "result": 5}, path="/x") == 5
    assert parsing.result({"code": 0, "msg": "success", "result": 5}, path="/x") == 5


@pytest.mark.parametrize(
    "payload",
    [{"errno": 10200, "errmsg": "No such thing", "result": None}, {"code": 10200, "msg": "No such thing"}],
)
def test_an_error_in_the_envelope_is_refused(payload):
    with pytest.raises(Refused) as caught:
        parsing.result(payload, path="/market/5")
    assert caught.value.errno == 10200 and "/market/5" in str(caught.value)
    assert "No such thing" not in str(caught.value) and caught.value.said == "No such thing"


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"result": {}}, {"errno": "x"}, {"errno": False}])
def test_a_wrong_envelope_is_a_bad_answer(payload):
    with pytest.raises(BadAnswer):
        parsing.result(payload, path="/market")


@pytest.mark.parametrize("inside", [None, [], {}, {"list": {}}, {"list": "x"}, {"list": [], "total": -1}])
def test_a_wrong_list_is_a_bad_answer(inside):
    with pytest.raises(BadAnswer):
        parsing.listing(inside, path="/market")


def test_a_single_record_is_one_level_deeper():
    page = parsing.detail({"data": topic_entry(9, child_entry(21))}, path="/market/categorical/9")
    assert len(page.rows) == 2
    with pytest.raises(BadAnswer):
        parsing.detail(topic_entry(9), path="/market/categorical/9")


@pytest.mark.parametrize("field", ["labels", "childMarkets", "volume", "marketTitle", "status", "slug", "unknown"])
@pytest.mark.parametrize(
    "wrap", [lambda inside: [inside], lambda inside: {"marketId": inside}], ids=["lists", "objects"]
)
def test_what_is_nested_deep_spoils_its_own_entry_at_most(field, wrap):
    deep = []
    for _ in range(900):
        deep = wrap(deep)
    good, bad = read(binary_entry(1, **{field: deep}), binary_entry(2)).rows, read(wrap(deep), binary_entry(2)).rejected
    assert good[-1].external_id == "2" and len(bad) == 1 and len(bad[0].raw) <= 500
