"""Answers from a folder of recorded ones, byte for byte.

A file stands for a request by its name:

| file | answers |
|---|---|
| opinion_markets_page1.json (page2, ...) | GET /market, that page, whatever else was asked for |
| opinion_empty_page.json | GET /market, every other page |
| opinion_market_categorical*.json | GET /market/categorical/{id}, by the id inside |
| opinion_market_*.json (all others) | GET /market/{id}, by the id inside |
| opinion_latest_price*.json, opinion_orderbook*.json | GET /token/..., by the token id inside |
| opinion_error_bad_request.json | a parameter is missing |
| opinion_error.json | whatever is unknown |

Of two files for one request the first by name answers.
"""

import json
import re
from functools import partial
from pathlib import Path

from markets.simulator.opinion import envelope
from markets.simulator.opinion.envelope import BAD_PARAMETER, UNKNOWN
from markets.simulator.query import Query
from markets.simulator.reply import Reply
from markets.simulator.site import Answer

EMPTY_PAGE, BAD_REQUEST, ERROR = "opinion_empty_page", "opinion_error_bad_request", "opinion_error"


class Replay:
    """The exchange as it was recorded. Raises ValueError for a folder or a file that cannot be used."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
        self._files: dict[str, bytes] = {}
        self._by_request: dict[tuple[str, str], bytes] = {}
        for file in sorted(folder.glob("opinion_*.json"), key=lambda file: file.stem):
            self._remember(file)
        if not self._files:
            raise ValueError(f"{folder} has no opinion_*.json")

    def _remember(self, file: Path) -> None:
        body = file.read_bytes()
        self._files[file.stem] = body
        try:
            request = _request_of(file.stem, json.loads(body))
        except (ValueError, TypeError, LookupError) as error:
            raise ValueError(f"{file} is not a recorded answer of its kind: {error!r}") from error
        if request:
            self._by_request.setdefault(request, body)

    @property
    def answers(self) -> dict[str, Answer]:
        by_path = ("/market/categorical/{id}", "/market/slug/{slug}", "/market/{id}")
        by_token = ("/token/latest-price", "/token/orderbook", "/token/price-history")
        return {
            "/market": self._page,
            **{endpoint: partial(self._by_path, endpoint) for endpoint in by_path},
            **{endpoint: partial(self._by_token, endpoint) for endpoint in by_token},
            "/label": self._nothing,
            "/quoteToken": self._nothing,
        }

    def _by_path(self, endpoint: str, name: str, query: Query, at: int) -> Reply:
        return self._found(endpoint, name)

    def _by_token(self, endpoint: str, name: str, query: Query, at: int) -> Reply:
        return self._found(endpoint, query.text("token_id"))

    def _nothing(self, name: str, query: Query, at: int) -> Reply:
        return envelope.rows([], 0)

    def _page(self, name: str, query: Query, at: int) -> Reply:
        body = self._by_request.get(("/market", query.text("page", "1"))) or self._files.get(EMPTY_PAGE)
        return Reply(body) if body else envelope.rows([], 0)

    def _found(self, endpoint: str, name: str) -> Reply:
        body = self._by_request.get((endpoint, name))
        if body:
            return Reply(body)
        file, errno = (ERROR, UNKNOWN) if name else (BAD_REQUEST, BAD_PARAMETER)
        recorded = self._files.get(file)
        return Reply(recorded) if recorded else envelope.failure(errno, "nothing was recorded for this request")


def _request_of(stem: str, content: dict) -> tuple[str, str] | None:
    """The endpoint that a file answers and the id, token or page it is for."""
    page = re.fullmatch(r"opinion_markets_page(\d+)", stem)
    if page:
        return "/market", page[1]
    if stem.startswith("opinion_market_categorical"):
        return "/market/categorical/{id}", str(content["result"]["data"]["marketId"])
    if stem.startswith("opinion_market_"):
        return "/market/{id}", str(content["result"]["data"]["marketId"])
    if stem.startswith("opinion_latest_price"):
        return "/token/latest-price", content["result"]["tokenId"]
    if stem.startswith("opinion_orderbook"):
        return "/token/orderbook", content["result"]["tokenId"]
    return None
