"""Recorded answers come back byte for byte."""

import json
from pathlib import Path

import pytest

from markets.simulator import running
from tests.markets.simulator.client import Client

FILES = {
    "opinion_markets_page1": '{"errmsg":"","errno":0,"result":{"list":[\n{"marketId":11, "slug":"a"}],"total":21}}',
    "opinion_empty_page": '{"errmsg":"","errno":0,"result":{"list":null,"total":0 }}',
    "opinion_market_detail": '{"errmsg":"","errno":0,"result":{"data":{"marketId":11,"marketType":0}}} ',
    "opinion_market_child_resolved": '{"errmsg":"","errno":0,"result":{"data":{"marketId":12,"cutoffAt":0}}}',
    "opinion_market_categorical_detail": '{"errno":0,"errmsg":"","result":{"data":{"marketId":11,"marketType":1}}}',
    "opinion_latest_price": '{"errmsg":"","errno":0,"result":{"price":"0.25","tokenId":"771"}}',
    "opinion_latest_price_never_traded": '{"errmsg":"","errno":0,"result":{"price":"0.0","tokenId":"772"}}',
    "opinion_orderbook": '{"errmsg":"","errno":0,"result":{"asks":[],"bids":[],"tokenId":"771"}}',
    "opinion_error": '{"errmsg":"no","errno":10200,"result":null}',
    "opinion_error_bad_request": '{"errmsg":"what?","errno":10000,"result":null}',
}
REQUESTS = {
    "/market?marketType=2&limit=20": "opinion_markets_page1",
    "/market?page=1": "opinion_markets_page1",
    "/market?page=2": "opinion_empty_page",
    "/market/11": "opinion_market_detail",
    "/market/12": "opinion_market_child_resolved",
    "/market/categorical/11": "opinion_market_categorical_detail",
    "/token/latest-price?token_id=771": "opinion_latest_price",
    "/token/latest-price?token_id=772": "opinion_latest_price_never_traded",
    "/token/orderbook?token_id=771": "opinion_orderbook",
    "/market/13": "opinion_error",
    "/market/categorical/12": "opinion_error",
    "/token/orderbook?token_id=772": "opinion_error",
    "/token/latest-price": "opinion_error_bad_request",
}
RECORDED = Path(__file__).resolve().parents[4] / "shared" / "reference" / "fixtures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "other_markets.json").write_text("not ours")
    return tmp_path


@pytest.mark.parametrize(("path", "file"), REQUESTS.items())
def test_word_for_word(folder: Path, path: str, file: str) -> None:
    with running(replay=folder, rate=0) as exchange, Client(exchange.url) as client:
        assert client.ask(path).content == FILES[file].encode()


def test_what_was_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "opinion_markets_page1.json").write_text(FILES["opinion_markets_page1"])
    with running(replay=tmp_path, rate=0) as exchange, Client(exchange.url) as client:
        assert client.result("/market", page=2) == {"list": None, "total": 0}
        assert client.envelope("/market/11")["errno"] == 10200
        assert client.envelope("/token/orderbook")["errno"] == 10000


def test_faults_act_on_recorded_answers_too(folder: Path) -> None:
    with running(replay=folder, rate=0) as exchange, Client(exchange.url) as client:
        exchange.fault("broken_rows", requests=1)
        assert "marketId" not in client.result("/market")["list"][0]
        assert client.ask("/market").content == FILES["opinion_markets_page1"].encode()


@pytest.mark.parametrize("text", ["[", '{"result":{}}', '{"result":null}'])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "opinion_orderbook.json").write_text(text)
    with pytest.raises(ValueError, match=r"opinion_orderbook\.json"), running(replay=tmp_path):
        pass


def test_a_folder_without_answers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no"), running(replay=tmp_path):
        pass


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded answers beside the project, at {RECORDED}")
def test_recorded_answers_beside_the_project() -> None:
    with running(replay=RECORDED, rate=0) as exchange, Client(exchange.url) as client:
        page = client.ask("/market", marketType=2, limit=20)
        assert page.content == (RECORDED / "opinion_markets_page1.json").read_bytes()
        for file in ("opinion_market_detail", "opinion_market_child_resolved", "opinion_market_categorical_detail"):
            recorded = (RECORDED / f"{file}.json").read_bytes()
            kind = "categorical/" if "categorical" in file else ""
            assert client.ask(f"/market/{kind}{_id_in(recorded)}").content == recorded
        assert client.ask("/market/404404404").content == (RECORDED / "opinion_error.json").read_bytes()


def _id_in(recorded: bytes) -> int:
    return json.loads(recorded)["result"]["data"]["marketId"]
