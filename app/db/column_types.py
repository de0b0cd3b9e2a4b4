"""Column types: times in UTC, enums by value, and domain values as JSON.

Each domain value is converted to and from its JSON column here and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import JSON, DateTime, Enum, Integer, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

from app.scaling.resolution import Resolution, to_resolution


class JsonConvertible(Protocol):
    """An immutable value that is stored as JSON."""

    @classmethod
    def from_json(cls, plain: Any, /) -> Self: ...
    def to_json(self) -> Any: ...


Value = TypeVar("Value", bound=JsonConvertible)


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC time on every database (SQLite stores no time zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class JsonValue(TypeDecorator[Value]):
    """A JSON column of a domain value, converted by its `to_json` and `from_json`; `None` is stored as NULL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: type[Value]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Value | None, dialect: Dialect) -> Any:
        return None if value is None else value.to_json()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Value | None:
        return None if value is None else self.kind.from_json(value)

    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> TypeEngine[Any]:
        return self.impl_instance.coerce_compared_value(op, value)


class JsonValues(TypeDecorator[tuple[Value, ...]]):
    """A JSON column of a tuple of domain values; `None` is stored as NULL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: type[Value]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: tuple[Value, ...] | None, dialect: Dialect) -> Any:
        return None if value is None else [item.to_json() for item in value]

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[Value, ...] | None:
        return None if value is None else tuple(self.kind.from_json(item) for item in value)


class ResolutionNumber(TypeDecorator[Resolution]):
    """A resolution as one number: the side of a square, else height * 2^16 + width."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Resolution | None, dialect: Dialect) -> int | None:
        return (value[0] << 16) + value[1] if isinstance(value, tuple) else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> Resolution | None:
        return value if value is None or value < 1 << 16 else divmod(value, 1 << 16)


class ResolutionOfConfig(TypeDecorator[Resolution]):
    """A resolution that is read out of a config's JSON: a number or a list of height and width."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Resolution | None:
        return None if value is None else to_resolution(value)


def enum_by_value(kind: type[StrEnum], length: int = 20) -> Enum:
    """Return the type of a text column with an enum's values; adding a member needs no migration."""
    return Enum(kind, native_enum=False, create_constraint=False, length=length, values_callable=list)
