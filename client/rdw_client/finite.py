"""Numbers that are none (nan, infinite) cannot be sent; here, before that, it is known where they stand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any, at: str = "") -> None:
    """Raises: ValueError that names the first number that is none."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{at} is {value}: a number is needed")
    if isinstance(value, Mapping):
        for name, one in value.items():
            finite(one, f"{at}.{name}" if at else str(name))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            finite(one, f"{at}[{index}]")
