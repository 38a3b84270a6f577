"""One REST root of an exchange: what can be asked below it, and who answers."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from markets.simulator.query import Query
from markets.simulator.reply import Refusal, Reply

Answer = Callable[[str, Query, int], Reply]
"""(the name in the path, the query, the moment) to the reply; may raise a Refusal."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A root and what answers below it, by endpoint: a more special one before a more general one."""

    exchange: str
    root: str
    answers: Mapping[str, Answer]
    refuse: Callable[[Refusal], Reply]
    rate: int
    """Requests a second for one address; what is too much is answered with 429. 0 = no limit."""
    key_rate: int = 0
    """With a valid key."""
    queues: bool = False
    """What is too much waits for its turn instead."""

    def endpoint_of(self, path: str) -> tuple[str, str]:
        return endpoint_of(self.answers, path)


def endpoint_of(endpoints: Iterable[str], path: str) -> tuple[str, str]:
    """The endpoint that a path belongs to, and the last name in it; ("", "") for none.

    >>> endpoint_of(["/market", "/market/categorical/{id}"], "/market/categorical/12")
    ('/market/categorical/{id}', '12')
    """
    for endpoint in endpoints:
        found = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", endpoint), path)
        if found:
            return endpoint, ("", *found.groups())[-1]
    return "", ""
