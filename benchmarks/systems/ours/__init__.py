"""This project's own scheduler."""

from benchmarks.systems.ours.system import System

__all__ = ["System"]
