"""Polymarket (polymarket.com): its catalogue, trades and prices."""
