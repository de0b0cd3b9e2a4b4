"""Converts what callers pass, such as numpy scalars, paths and dataclasses, to plain JSON values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, ClassVar, Protocol

from rdw_client.models import Model


class DataclassInstance(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Scalar(Protocol):
    """A scalar of numpy, torch or a similar library, or an array with one element."""

    def item(self) -> Any: ...


JsonObject = Mapping[str, Any] | DataclassInstance
Number = float | Scalar


def encode(value: Any, at: str = "") -> Any:
    """Return the value as plain JSON; `at` is its path, for error messages.

    Raises: ValueError for a number that is not finite; TypeError for a value that JSON cannot represent.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{at} is {value}: it must be a finite number")
        return float(value)
    if isinstance(value, Model):
        return encode(value.raw, at)
    if isinstance(value, Mapping):
        return {str(name): encode(member, f"{at}.{name}" if at else str(name)) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [encode(item, f"{at}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, PurePath):
        return value.as_posix()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, at)
    plain = _plain_number(value)
    if plain is value:
        raise TypeError(f"{at or 'the body'} is of type {type(value).__name__}, which JSON cannot represent")
    return encode(plain, at)


def _plain_number(value: Any) -> Any:
    """The Python number of a scalar and the nested list of an array, of any library; other values as they are."""
    if not getattr(value, "shape", ()) and callable(getattr(value, "item", None)):
        return value.item()
    return value.tolist() if callable(getattr(value, "tolist", None)) else value
