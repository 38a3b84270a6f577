"""How Opinion is reached: one host, and an envelope round each of its answers."""

from __future__ import annotations

from typing import Any

from markets import conf, limits
from markets.exchanges.opinion import parsing
from markets.exchanges.wire import Answer, Wire


def api(*more: str) -> Wire:
    """The wire to the Opinion of the settings; `more` are limits that its requests take from besides."""
    opinion = conf.opinion()
    return Wire(opinion.url, key=opinion.key, key_header="apikey", limits=(*more, limits.OPINION))


def inside(answer: Answer, wire: Wire) -> Any:
    """What the envelope holds. Raises Refused where that is an error, which Opinion sends as HTTP 200."""
    return parsing.result(answer.payload, path=answer.path, secrets=wire.secrets)
