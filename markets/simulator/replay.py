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
from pathlib import Path

from markets.simulator import reply
from markets.simulator.query import Query
from markets.simulator.reply import BAD_PARAMETER, UNKNOWN, Reply

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

    def answer(self, endpoint: str, name: str, query: Query) -> Reply:
        if endpoint == "/market":
            return self._page(query)
        if endpoint in ("/label", "/quoteToken"):
            return reply.rows([], 0)
        if endpoint.startswith("/token/"):
            name = query.text("token_id")
        return self._found(endpoint, name)

    def _page(self, query: Query) -> Reply:
        body = self._by_request.get(("/market", query.text("page", "1"))) or self._files.get(EMPTY_PAGE)
        return Reply(body) if body else reply.rows([], 0)

    def _found(self, endpoint: str, name: str) -> Reply:
        body = self._by_request.get((endpoint, name))
        if body:
            return Reply(body)
        file, errno = (ERROR, UNKNOWN) if name else (BAD_REQUEST, BAD_PARAMETER)
        recorded = self._files.get(file)
        return Reply(recorded) if recorded else reply.failure(errno, "nothing was recorded for this request")


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
