"""Kalshi (kalshi.com): its catalogue, trades and prices."""
