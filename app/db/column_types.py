"""Column types: times in UTC, enums by value, and domain values as JSON.

Each domain value is converted to and from its JSON column here and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import JSON, DateTime, Enum, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine


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


def enum_by_value(kind: type[StrEnum], length: int = 20) -> Enum:
    """Return the type of a text column with an enum's values; adding a member needs no migration."""
    return Enum(kind, native_enum=False, create_constraint=False, length=length, values_callable=list)
