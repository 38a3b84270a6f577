"""What the package offers, and the examples in its docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import markets.simulator

MODULES = sorted(module.name for module in pkgutil.iter_modules(markets.simulator.__path__))


def test_exported_names() -> None:
    assert markets.simulator.__all__ == sorted(["RunningExchange", "running"])
    assert all(hasattr(markets.simulator, name) for name in markets.simulator.__all__)


@pytest.mark.parametrize("name", ["", *MODULES])
def test_examples(name: str) -> None:
    module = importlib.import_module(f"markets.simulator.{name}".rstrip("."))
    assert doctest.testmod(module).failed == 0
