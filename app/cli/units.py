"""200M, 1.2G, 99.5M: numbers as people write and read them."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def count(text: str) -> int:
    """A whole number: 200M, 1.2G, 200e6, 200000000, 200_000_000.

    Raises: ArgumentTypeError.
    """
    unit = _UNITS.get(text[-1:].upper())
    try:
        value = float(text[:-1] if unit else text) * (unit or 1)
        whole = round(value)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no number: 200M, 1.2G, 200e6 and 200000000 are") from None
    if whole < 1:
        raise argparse.ArgumentTypeError(f"{text}: 1 or more, please")
    return whole


def number(text: str) -> float:
    """.5, 2, 1e-3; neither nan nor infinite.

    Raises: ArgumentTypeError.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number: .5, 2 and 1e-3 are")
    return value


def some(text: str) -> int:
    """1 or more.

    Raises: ArgumentTypeError.
    """
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r}: 1 or more, please")
    return int(text)


def short(value: float | None) -> str:
    """99.5M; four digits at most."""
    if value is None:
        return "-"
    for unit in reversed(_UNITS):
        if abs(value) >= 0.9995 * _UNITS[unit]:
            scaled = value / _UNITS[unit]
            return f"{scaled:.3g}{unit}" if scaled < 999.5 else f"{scaled:.0f}{unit}"
    return f"{value:g}"


def percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{share:.{digits}%}"


def duration(seconds: float | None) -> str:
    """42 s, 3 min, 2.5 h."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def json_file(text: str) -> Any:
    """What a file of JSON has in it.

    Raises: ArgumentTypeError.
    """
    try:
        return json.loads(Path(text).read_text())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no JSON: {error}") from None


def name_or_file(text: str) -> Any:
    """A name, or what the .json file of that name has in it."""
    return json_file(text) if text.endswith(".json") else text
