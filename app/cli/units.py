"""Numbers and durations as people write and read them: 200M, 99.5M, 3 min."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer import BadParameter

_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_count(text: str) -> int:
    """Parse a positive whole number: 200M, 1.2G, 200e6 or 200000000.

    Raises: BadParameter.
    """
    unit = _UNITS.get(text[-1:].upper())
    try:
        count = round(float(text[:-1] if unit else text) * (unit or 1))
    except (ValueError, OverflowError):
        raise BadParameter(f"{text!r} is not a number such as 200M, 1.2G, 200e6 or 200000000.") from None
    if count < 1:
        raise BadParameter(f"{text!r} is less than 1.")
    return count


def parse_px(text: str) -> int | list[int]:
    """Parse the side of a square in px, 224, or height and width, 32x64.

    Raises: BadParameter.
    """
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise BadParameter(f"{text!r} is neither a number of px such as 224 nor height and width such as 32x64.")
    return sides if len(sides) == 2 else sides[0]


def parse_json_file(text: str) -> Any:
    """Read a JSON file.

    Raises: BadParameter.
    """
    try:
        return json.loads(Path(text).read_text())
    except OSError as error:
        raise BadParameter(f"{text}: {error.strerror}") from None
    except ValueError as error:
        raise BadParameter(f"{text} is not valid JSON: {error}") from None


def read_name_or_file(text: str | None) -> Any:
    """Read a .json file; return a name as it is.

    Raises: BadParameter.
    """
    return parse_json_file(text) if text and text.endswith(".json") else text


def parse_weight_source(text: str) -> Any:
    """Parse a source of weights: `scratch`, `timm`, or `KIND:NAME` with the kind trial, file or timm.

    Raises: BadParameter.
    """
    kind, separator, name = text.partition(":")
    if (kind in ("trial", "file", "timm") and name) or (text in ("scratch", "timm") and not separator):
        return {kind: name} if separator else text
    raise BadParameter(f"{text!r} is not trial:ID, file:PATH, timm:NAME, timm or scratch")


def format_count(value: float | None) -> str:
    """Format a number with at most four digits: 99.5M."""
    if value is None:
        return "-"
    for unit in reversed(_UNITS):
        if abs(value) >= 0.9995 * _UNITS[unit]:
            scaled = value / _UNITS[unit]
            return f"{scaled:.3g}{unit}" if scaled < 999.5 else f"{scaled:.0f}{unit}"
    return f"{value:g}"


def format_px(sides: int | list[int]) -> str:
    """Format the side of a square, or height and width: 224, 32x64."""
    return str(sides) if isinstance(sides, int) else "x".join(map(str, sides))


def format_multiplier(value: float) -> str:
    """Format with three decimals or, where these would be another network, with all of its few."""
    short = f"{value:.3f}"
    return short if float(short) == value else str(value)


def format_percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{share:.{digits}%}"


def format_duration(seconds: float | None) -> str:
    """Format a duration: 42 s, 3 min, 2.5 h."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
