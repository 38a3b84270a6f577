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
