"""Imported by the hosts of a test: their pusher gives itself up soon."""

from scheduling.cluster import audit

audit.PATIENCE = 1.0
