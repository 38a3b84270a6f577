"""A client that checks nothing: what comes back is what the tests look at."""

from typing import Any

import requests


class Client(requests.Session):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.root = url

    def ask(self, path: str, **params: Any) -> requests.Response:
        return self.get(self.root + path, params=params, timeout=10)

    def json(self, path: str, **params: Any) -> Any:
        answer = self.ask(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def envelope(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.ask(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def result(self, path: str, **params: Any) -> dict[str, Any]:
        envelope = self.envelope(path, **params)
        assert envelope["errno"] == 0, envelope
        return envelope["result"]

    def data(self, path: str) -> dict[str, Any]:
        return self.result(path)["data"]

    def walk(self, **params: Any) -> list[dict[str, Any]]:
        """All rows of a listing, page by page."""
        rows: list[dict[str, Any]] = []
        for page in range(1, 10_000):
            result = self.result("/market", page=page, limit=20, **params)
            rows += result["list"] or []
            if not result["list"]:
                return rows
        raise AssertionError("the listing has no end")

    def open_topics(self) -> list[dict[str, Any]]:
        return self.walk(status="activated", marketType=2)
