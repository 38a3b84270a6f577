"""What the package offers, and the examples in its docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import markets.simulator

MODULES = sorted(module.name for module in pkgutil.walk_packages(markets.simulator.__path__, "markets.simulator."))


def test_exported_names() -> None:
    assert markets.simulator.__all__ == sorted(["RunningExchange", "running"])
    assert all(hasattr(markets.simulator, name) for name in markets.simulator.__all__)


@pytest.mark.parametrize("name", ["markets.simulator", *MODULES])
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
