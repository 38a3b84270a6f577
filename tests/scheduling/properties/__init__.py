"""Properties: what holds whatever the input, each against a slow and plainly right model.

The same examples are tried each time, so that a run says something of the change and not of its luck.
PROPERTIES=20 tries twenty times as many, drawn anew; a failure prints the @reproduce_failure line that repeats it.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("PROPERTIES", "0"))


def examples(number: int, **options: Any) -> settings:
    """Settings for `number` examples; they also decorate a test."""
    return settings(
        max_examples=number * max(1, TIMES),
        derandomize=not TIMES,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        **options,
    )
