"""What the REST root answers, over real HTTP."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import requests

from markets.simulator import RunningExchange, running
from tests.markets.simulator.client import Client


def binaries(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["marketType"] == 0]


def categoricals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["marketType"] == 1]


class TestEnvelope:
    def test_list(self, client: Client) -> None:
        envelope = client.envelope("/market")
        assert set(envelope) == {"errmsg", "errno", "result"}
        assert (envelope["errmsg"], envelope["errno"]) == ("", 0)
        assert set(envelope["result"]) == {"list", "total"}

    def test_empty_list_is_null(self, client: Client) -> None:
        total = client.result("/market")["total"]
        assert client.result("/market", page=1_000) == {"list": None, "total": total}

    def test_an_empty_world(self) -> None:
        with running(topics=0, frozen=True) as exchange, Client(exchange.url) as client:
            assert client.result("/market", marketType=2) == {"list": None, "total": 0}

    @pytest.mark.parametrize(
        "path",
        [
            "/market/999999999",
            "/market/categorical/999999999",
            "/market/slug/nothing-of-the-kind",
            "/market/slug/nothing-c01",
            "/token/latest-price?token_id=123",
            "/token/orderbook?token_id=0xabc",
            "/token/price-history?token_id=" + "9" * 78,
        ],
    )
    def test_what_is_unknown_is_an_error_in_http_200(self, client: Client, path: str) -> None:
        envelope = client.envelope(path)
        assert envelope["errno"] == 10200
        assert envelope["result"] is None
        assert envelope["errmsg"]

    @pytest.mark.parametrize(
        "path",
        [
            "/token/latest-price",
            "/token/orderbook?token_id=",
            "/token/price-history",
            "/market/first",
            "/market?page=0",
            "/market?page=two",
            "/market?limit=-1",
            "/market?marketType=3",
            "/market?status=closed",
            "/market?sortBy=9",
        ],
    )
    def test_a_bad_parameter_is_an_error_in_http_200(self, client: Client, path: str) -> None:
        envelope = client.envelope(path)
        assert (envelope["errno"], envelope["result"]) == (10000, None)

    def test_elsewhere_there_is_nothing(self, exchange: RunningExchange, client: Client) -> None:
        assert client.ask("/markets").status_code == 404
        assert requests.get(exchange.url.removesuffix("/openapi") + "/market", timeout=5).status_code == 404
        assert client.post(exchange.url + "/market", timeout=5).status_code == 405


class TestListing:
    def test_defaults(self, client: Client) -> None:
        rows = client.result("/market")["list"]
        assert len(rows) == 10
        assert {row["marketType"] for row in rows} == {0}
        assert client.result("/market", page=1, limit=10, marketType=0, sortBy=1)["list"] == rows

    def test_at_most_20_rows(self, client: Client) -> None:
        assert len(client.result("/market", limit=500)["list"]) == 20
        assert len(client.result("/market", limit=7)["list"]) == 7

    def test_a_walk_meets_every_topic_once(self, exchange: RunningExchange, client: Client) -> None:
        rows = client.open_topics()
        met = [(row["marketType"], row["marketId"]) for row in rows]
        assert len(set(met)) == len(met) == 60 == client.result("/market", marketType=2, status="activated")["total"]
        assert met == [(int(topic.categorical), topic.number) for topic in exchange.world.activated(exchange.now)]

    def test_a_quarter_is_categorical(self, client: Client) -> None:
        rows = client.walk(marketType=1, status="activated")
        assert len(rows) == 15
        assert all(1 <= len(row["childMarkets"]) <= 8 for row in rows)

    def test_status(self, client: Client) -> None:
        assert {row["status"] for row in client.open_topics()} == {2}
        resolved = client.walk(marketType=2, status="resolved")
        assert {(row["status"], row["statusEnum"]) for row in resolved} == {(4, "Resolved")}
        everything = client.result("/market", marketType=2)["total"]
        assert everything == 60 + len(resolved)

    @pytest.mark.parametrize(
        ("sort", "field", "falls"),
        [
            (1, "createdAt", True),
            (2, "cutoffAt", False),
            (3, "volume", True),
            (4, "volume", False),
            (5, "volume24h", True),
            (6, "volume24h", False),
            (7, "volume7d", True),
            (8, "volume7d", False),
        ],
    )
    def test_sorting(self, client: Client, sort: int, field: str, falls: bool) -> None:
        values = [Decimal(row[field]) for row in client.walk(marketType=2, status="activated", sortBy=sort)]
        pairs = pairwise(values)
        slack = Decimal("0.000001")  # some volumes carry the noise of floats
        assert all(after <= before + slack if falls else before <= after + slack for before, after in pairs)

    def test_labels_filter(self, client: Client) -> None:
        everything = client.open_topics()
        for label in client.result("/label")["list"]:
            rows = client.walk(status="activated", marketType=2, labelId=label["labelId"])
            assert len(rows) == sum(label["labelId"] in row["labelIds"] for row in everything)
            assert all(label["labelName"] in row["labels"] for row in rows)

    def test_other_chains_and_collections_are_empty(self, client: Client) -> None:
        assert client.result("/market", chainId="56")["total"] > 0
        assert client.result("/market", chainId="8453")["total"] == 0
        assert client.result("/market", collectionType=1)["total"] == 0


class TestRows:
    def test_a_binary(self, client: Client) -> None:
        for row in binaries(client.open_topics()):
            assert row["childMarkets"] is None
            assert row["conditionId"] == "" and row["resultTokenId"] == "" and row["resolvedAt"] == 0
            assert row["yesTokenId"].isdigit() and len(row["yesTokenId"]) <= 78
            assert row["createdAt"] < row["cutoffAt"]
            assert row["chainId"] == "56"

    def test_a_categorical_parent_cannot_be_traded(self, client: Client) -> None:
        for row in categoricals(client.open_topics()):
            assert {row[name] for name in ("yesLabel", "noLabel", "yesTokenId", "noTokenId", "conditionId")} == {""}

    def test_children(self, client: Client) -> None:
        for parent in categoricals(client.open_topics()):
            for child in parent["childMarkets"]:
                assert child["cutoffAt"] == 0 and child["rules"] == "" and child["conditionId"] == ""
                assert not {"marketType", "volume24h", "labels", "price"} & set(child)

    def test_nothing_in_the_catalogue_has_a_price(self, client: Client) -> None:
        assert not any({"price", "lastPrice", "probability", "liquidity"} & set(row) for row in client.open_topics())

    def test_money_is_said_in_every_style(self, client: Client) -> None:
        volumes = [row["volume"] for row in client.open_topics()]
        fractions = {len(text.partition(".")[2]) for text in volumes}
        assert all(isinstance(text, str) and Decimal(text) >= 0 for text in volumes)
        assert 18 in fractions and fractions & {0, 1, 2, 3} and fractions & set(range(4, 18))

    def test_a_parent_is_worth_more_than_its_children(self, client: Client) -> None:
        for row in categoricals(client.open_topics()):
            children = sum(Decimal(child["volume"]) for child in row["childMarkets"])
            assert Decimal(row["volume"]) > children or row["volume"].strip("0.") == ""

    def test_fields_come_and_go(self, client: Client) -> None:
        rows = client.open_topics()
        for field in ("rebate", "incentiveFactor", "isResolvableByAI"):
            assert 0 < sum(field in row for row in rows) < len(rows)

    def test_numbers_are_shared_by_topics_and_binary_markets(self, client: Client) -> None:
        rows = client.open_topics()
        shared = {row["marketId"] for row in binaries(rows)} & {row["marketId"] for row in categoricals(rows)}
        assert shared
        number = min(shared)
        assert client.data(f"/market/{number}")["marketType"] == 0
        assert client.data(f"/market/categorical/{number}")["marketType"] == 1


class TestDetails:
    def test_a_binary_by_id_has_its_condition(self, client: Client) -> None:
        row = client.result("/market")["list"][0]
        detail = client.data(f"/market/{row['marketId']}")
        assert len(detail.pop("conditionId")) == 64
        assert detail == {name: value for name, value in row.items() if name != "conditionId"}

    def test_a_child_by_id_does_not_name_its_parent(self, client: Client) -> None:
        parent = client.walk(marketType=1)[0]
        child = client.data(f"/market/{parent['childMarkets'][0]['marketId']}")
        assert child["marketTitle"] == parent["childMarkets"][0]["marketTitle"]
        assert len(child["conditionId"]) == 64 and "marketType" not in child and "rootMarketId" not in child

    def test_slugs(self, client: Client) -> None:
        rows = client.open_topics()
        binary, parent = binaries(rows)[0], categoricals(rows)[0]
        assert client.data(f"/market/slug/{binary['slug']}")["marketId"] == binary["marketId"]
        assert client.data(f"/market/slug/{parent['slug']}")["marketTitle"] == parent["marketTitle"]
        child = parent["childMarkets"][0]["slug"]
        assert client.data(f"/market/slug/{child}")["marketTitle"] == parent["marketTitle"]

    def test_the_listing_drops_children_that_the_detail_shows(self, client: Client) -> None:
        dropped: set[int] = set()
        for parent in categoricals(client.open_topics()):
            listed = {child["marketId"] for child in parent["childMarkets"]}
            for child in client.data(f"/market/categorical/{parent['marketId']}")["childMarkets"]:
                assert (child["marketId"] in listed) == (child["status"] == 2)
                dropped |= {child["status"]} - {2}
        assert 4 in dropped

    def test_the_status_of_a_parent_is_unreliable_in_its_detail(self, client: Client) -> None:
        parents = categoricals(client.open_topics())
        said = {client.data(f"/market/categorical/{row['marketId']}")["statusEnum"] for row in parents}
        assert said == {"Created", "Activated"}

    def test_a_resolved_market_names_the_winning_token(self, client: Client) -> None:
        row = binaries(client.walk(status="resolved", marketType=2))[0]
        detail = client.data(f"/market/{row['marketId']}")
        assert detail["resultTokenId"] in (detail["yesTokenId"], detail["noTokenId"])
        assert detail["resolvedAt"] > detail["cutoffAt"]

    def test_one_child_of_a_resolved_topic_has_won(self, client: Client) -> None:
        row = client.walk(status="resolved", marketType=1)[0]
        children = client.data(f"/market/categorical/{row['marketId']}")["childMarkets"]
        assert sum(child["resultTokenId"] == child["yesTokenId"] for child in children) == 1


class TestPrices:
    def test_latest_price(self, client: Client) -> None:
        traded = [row for row in binaries(client.open_topics()) if Decimal(row["volume"])]
        row = traded[0]
        yes = client.result("/token/latest-price", token_id=row["yesTokenId"])
        no = client.result("/token/latest-price", token_id=row["noTokenId"])
        assert yes["tokenId"] == row["yesTokenId"]
        assert Decimal(yes["price"]) + Decimal(no["price"]) == 1
        assert yes["side"].split("-")[0] in ("buy", "sell") and Decimal(yes["size"]) > 0
        assert yes["timestamp"] > 10**12

    def test_never_traded(self, client: Client) -> None:
        silent = next(row for row in binaries(client.open_topics()) if not Decimal(row["volume"]))
        price = client.result("/token/latest-price", token_id=silent["yesTokenId"])
        assert price == {"tokenId": silent["yesTokenId"], "price": "0.0", "side": "", "size": "0", "timestamp": 0}

    def test_the_book_of_no_is_the_book_of_yes_mirrored(self, client: Client) -> None:
        row = client.result("/market", status="activated", sortBy=3)["list"][0]
        yes = client.result("/token/orderbook", token_id=row["yesTokenId"])
        no = client.result("/token/orderbook", token_id=row["noTokenId"])
        mirrored = [{"price": 1 - Decimal(level["price"]), "size": level["size"]} for level in yes["asks"]]
        assert mirrored == [{"price": Decimal(level["price"]), "size": level["size"]} for level in no["bids"]]
        assert yes["market"] == client.data(f"/market/{row['marketId']}")["conditionId"]
        assert max(Decimal(level["price"]) for level in yes["bids"]) < min(
            Decimal(level["price"]) for level in yes["asks"]
        )

    def test_history_is_newest_first_and_falls_back_to_days(self, client: Client) -> None:
        row = client.result("/market", status="activated", sortBy=3)["list"][0]
        hourly = client.result("/token/price-history", token_id=row["yesTokenId"], interval="1h")["history"]
        moments = [point["t"] for point in hourly]
        assert moments == sorted(moments, reverse=True) and 1 <= len(moments) <= 1_000
        assert all(0 < Decimal(point["p"]) < 1 for point in hourly)
        minutes = client.result("/token/price-history", token_id=row["yesTokenId"], interval="1m")
        assert minutes == client.result("/token/price-history", token_id=row["yesTokenId"])
        none = client.result("/token/price-history", token_id=row["yesTokenId"], end_at=row["createdAt"] - 1)
        assert none == {"history": []}

    def test_quote_tokens(self, client: Client) -> None:
        token = client.result("/quoteToken")["list"][0]
        used = client.result("/market")["list"][0]["quoteToken"]
        assert token["quoteTokenAddress"].lower() == used.lower()
