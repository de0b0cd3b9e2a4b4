"""Pydantic models that take numbers and booleans as JSON has them, without conversions between types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function


def _to_whole_number(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _make_scalars_strict(schema: Any) -> Any:
    """Return a copy of a core schema, or of a part of one, with strict scalars; what is strict stays as it is."""
    if isinstance(schema, list | tuple):
        return type(schema)(_make_scalars_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return schema
    match schema.get("type"):
        case "function-before" if schema["function"]["function"] is _to_whole_number:
            return schema
        case "bool" | "float":
            return {**schema, "strict": True}
        case "int":
            return no_info_before_validator_function(_to_whole_number, {**schema, "strict": True})
        case "literal" if any(type(value) is int for value in schema["expected"]):
            return no_info_before_validator_function(_to_whole_number, schema)
    return {key: value if key == "metadata" else _make_scalars_strict(value) for key, value in schema.items()}


class JsonScalarsModel(BaseModel):
    """Base class of models in which text is no number, a number is no boolean, and a boolean is no number.

    Pydantic's default takes `"5"` and `true` for numbers; its strict mode also rejects what JSON cannot express, such
    as tuples, enums and dates. A float without a fraction is an integer, as in JSON Schema: `1e8`.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _make_scalars_strict(handler(source))
        return schema
