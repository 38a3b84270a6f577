"""The Django app whose functions.py holds what is measured."""

from django.apps import AppConfig


class BenchmarksConfig(AppConfig):
    """Named apart from the package, which is no app."""

    name = "benchmarks.systems.ours"
    label = "benchmarks"
