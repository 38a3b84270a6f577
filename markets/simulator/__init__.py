"""Simulated exchanges: a real HTTP server that answers as Opinion, Polymarket and Kalshi do.

>>> from markets.simulator import running
>>> with running(seed=1, topics=60, frozen=True, rate=0) as exchange:
...     exchange.url.endswith("/openapi")
True

In a terminal: `python manage.py exchange_simulator --port 8700`.
"""

from markets.simulator.handle import RunningExchange, running

__all__ = ["RunningExchange", "running"]
