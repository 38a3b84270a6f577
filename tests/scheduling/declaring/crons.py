"""Filled by each test."""

from scheduling import Crons

crons = Crons()
