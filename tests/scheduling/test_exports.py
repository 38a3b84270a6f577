"""What `import scheduling` offers."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys

import pytest

import scheduling
from scheduling import exceptions


def python(code):
    bare = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, timeout=30)


def test_import_works_before_django_setup():
    names = "Permanent, Retry, RetryAfter"
    done = python(f"import scheduling; from scheduling import {names}; print(dir(scheduling))")
    assert done.returncode == 0, done.stderr
    assert "'Retry'" in done.stdout


def test_import_loads_neither_django_models_nor_the_core():
    done = python("import sys, scheduling; print([n for n in sys.modules if n.startswith(('scheduling.', 'django'))])")
    assert done.stdout.strip() == "[]"


def test_all_is_sorted_complete_and_resolvable():
    assert list(scheduling.__all__) == sorted(scheduling.__all__)
    assert dir(scheduling) == sorted(scheduling.__all__)
    assert set(scheduling._HOMES) <= set(scheduling.__all__)
    for name in scheduling.__all__:
        assert getattr(scheduling, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scheduling.nonsense


def test_no_submodule_bears_the_name_of_an_exported_function_or_class():
    submodules = {module.name for module in pkgutil.iter_modules(scheduling.__path__)}
    exported = {name for name in scheduling.__all__ if not inspect.ismodule(getattr(scheduling, name))}
    assert not submodules & exported


@pytest.mark.parametrize("module", ["models", "testing"])
def test_the_packages_say_what_they_export(module):
    package = importlib.import_module(f"scheduling.{module}")
    assert all(hasattr(package, name) for name in package.__all__)


# Errors

NAMED = (
    "InvalidArguments",
    "InvalidSchedule",
    "AlreadyExists",
    "NotFound",
    "ScheduleLimitExceeded",
    "LimitImpossible",
    "RateLimited",
)


@pytest.mark.parametrize("name", NAMED)
def test_each_error_is_a_scheduling_error(name):
    assert issubclass(getattr(exceptions, name), exceptions.SchedulingError)
    assert issubclass(exceptions.SchedulingError, Exception)


def test_a_refusal_says_how_long_to_wait():
    assert exceptions.RateLimited(2.5).retry_after == 2.5


@pytest.mark.parametrize("name", ["JobCanceled", "JobTimeout"])
def test_no_except_exception_swallows_an_end_from_outside(name):
    error = getattr(exceptions, name)
    assert issubclass(error, BaseException) and not issubclass(error, Exception)


def test_the_tree_in_the_docstring_names_every_error():
    errors = {name for name, one in vars(exceptions).items() if inspect.isclass(one) and issubclass(one, BaseException)}
    assert {name for name in errors if name not in exceptions.__doc__} == set()
