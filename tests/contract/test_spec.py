"""The committed spec is the one served, and breaking changes require a new version."""

from __future__ import annotations

from typing import Any

from tests.contract.spec import COMMITTED, committed, present, refused, text

SCHEMAS: dict[str, Any] = committed()["components"]["schemas"]


def test_committed_spec_is_the_served_one() -> None:
    now = present()

    assert refused(committed(), now) == []
    assert COMMITTED.read_text() == text(now), "the API has changed: run `make spec` and commit the result"


def test_every_field_has_a_description() -> None:
    def is_described(field: dict[str, Any]) -> bool:
        target = SCHEMAS[field["$ref"].rpartition("/")[2]] if "$ref" in field else {}
        return "description" in {**target, **field}

    fields = {
        f"{name}.{field}": schema for name in SCHEMAS for field, schema in SCHEMAS[name].get("properties", {}).items()
    }
    assert [name for name, schema in fields.items() if not is_described(schema)] == []


def test_field_d_is_parsed_last() -> None:
    """The clients of openapi-python-client parse required fields in their order, then the others, then the rest."""
    with_d = {name: schema for name, schema in SCHEMAS.items() if "d" in schema.get("properties", {})}

    assert {"SolvedMultipliers", "ManualMultipliers"} <= with_d.keys()
    for name, schema in with_d.items():
        required = [field for field in schema["properties"] if field in schema.get("required", ())]
        optional = [field for field in schema["properties"] if field not in required]
        assert [*required, *optional][-1] == "d", name
        assert schema["additionalProperties"] is False, name
