"""Finds breaking changes between two versions of an OpenAPI spec.

Routes, response fields and optional request fields may be added. Every request that was valid must stay valid, and
every response must be one that was possible before. Both are containment of schemas, in opposite directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

_LARGEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SMALLEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems")


@dataclass(frozen=True)
class SchemaInSpec:
    """A schema, and the spec in which its references are resolved."""

    spec: Spec
    schema: Spec

    def alternatives(self) -> list[SchemaInSpec]:
        """Resolve references and unions: a value has to match one of these schemas."""
        schema = self.schema
        while "$ref" in schema:
            schema = self.spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        union = schema.get("anyOf") or schema.get("oneOf")
        if union:
            return [plain for one in union for plain in SchemaInSpec(self.spec, one).alternatives()]
        if isinstance(schema.get("type"), list):
            return [SchemaInSpec(self.spec, {**schema, "type": one}) for one in schema["type"]]
        return [SchemaInSpec(self.spec, schema)]

    def values(self) -> list[Any] | None:
        """Return the possible values if the schema lists them."""
        return [self.schema["const"]] if "const" in self.schema else self.schema.get("enum")

    def child(self, key: str) -> SchemaInSpec:
        return SchemaInSpec(self.spec, self.schema[key])

    def properties(self) -> dict[str, SchemaInSpec]:
        return {name: SchemaInSpec(self.spec, schema) for name, schema in self.schema.get("properties", {}).items()}


@dataclass(frozen=True)
class Phrases:
    """Describe the changes of requests or of responses."""

    value: Callable[[Any], str]
    bound: Callable[[str, Any], str]
    required: Callable[[str], str]


_REQUEST = Phrases("{} is not accepted".format, "{} is {}".format, "{} is required".format)
_RESPONSE = Phrases("may be {}".format, "{} is no longer {}".format, "{} may be missing".format)


def find_breaking_changes(before: Spec, after: Spec) -> list[str]:
    """Return one line per breaking change."""
    changes = []
    for path, operations in before["paths"].items():
        for method, old in operations.items():
            new = after["paths"].get(path, {}).get(method)
            name = f"{method.upper()} {path}"
            if new is None:
                changes.append(f"{name} was removed")
                continue
            changes += [f"{name}: {change}" for change in _operation(before, after, old, new)]
    return sorted(set(changes))


def _operation(before: Spec, after: Spec, old: Spec, new: Spec) -> Iterator[str]:
    def request(old: Spec, new: Spec, where: str) -> list[str]:
        return _compare(SchemaInSpec(before, old), SchemaInSpec(after, new), where, _REQUEST)

    def response(old: Spec, new: Spec, where: str) -> list[str]:
        return _compare(SchemaInSpec(before, old), SchemaInSpec(after, new), where, _RESPONSE)

    parameters = {(p["in"], p["name"].lower()): p for p in new.get("parameters", ())}
    old_parameters = {(p["in"], p["name"].lower()): p for p in old.get("parameters", ())}
    for key, parameter in old_parameters.items():
        if key not in parameters:
            yield f"parameter {key[1]} was removed"
        else:
            yield from request(parameter["schema"], parameters[key]["schema"], f"parameter {key[1]}")
    for key, parameter in parameters.items():
        if parameter.get("required") and not old_parameters.get(key, {}).get("required"):
            yield f"parameter {key[1]} is required"
    for media, content in old.get("requestBody", {}).get("content", {}).items():
        other = new.get("requestBody", {}).get("content", {}).get(media)
        if other is None:
            yield f"a body of {media} is not accepted"
        else:
            yield from request(content["schema"], other["schema"], "the body")
    if new.get("requestBody", {}).get("required") and not old.get("requestBody", {}).get("required"):
        yield "a body is required"
    for status, old_response in old["responses"].items():
        if status not in new["responses"]:
            if status.startswith("2"):
                yield f"response {status} was removed"
            continue
        for media, content in old_response.get("content", {}).items():
            other = new["responses"][status].get("content", {}).get(media)
            if other is None:
                yield f"response {status} is no longer {media}"
            else:
                yield from response(content.get("schema", {}), other.get("schema", {}), f"response {status}")


def _compare(old: SchemaInSpec, new: SchemaInSpec, where: str, phrases: Phrases) -> list[str]:
    """Requests may accept more than before, and responses may contain less."""
    wide, narrow = (old, new) if phrases is _REQUEST else (new, old)
    return _find_uncontained(wide, narrow, where, phrases, ())


def _find_uncontained(
    wide: SchemaInSpec, narrow: SchemaInSpec, where: str, phrases: Phrases, seen: tuple[tuple[str, str], ...]
) -> list[str]:
    """List what the wide schema allows and the narrow one does not."""
    pair = (wide.schema.get("$ref", ""), narrow.schema.get("$ref", ""))
    if all(pair):
        if pair in seen:
            return []
        seen = (*seen, pair)
    changes = []
    for one in wide.alternatives():
        others = [
            other for other in narrow.alternatives() if _same_type(one.schema.get("type"), other.schema.get("type"))
        ]
        if others:
            changes += min((_compare_alternatives(one, other, where, phrases, seen) for other in others), key=len)
        else:
            changes.append(f"{where}: {phrases.value(one.schema.get('type', 'anything'))}")
    return changes


def _compare_alternatives(
    wide: SchemaInSpec, narrow: SchemaInSpec, where: str, phrases: Phrases, seen: tuple[tuple[str, str], ...]
) -> list[str]:
    changes = [f"{where}: {change}" for change in (*_values(wide, narrow, phrases), *_bounds(wide, narrow, phrases))]
    in_wide, in_narrow = wide.properties(), narrow.properties()
    missing = set(narrow.schema.get("required", ())) - set(wide.schema.get("required", ()))
    old, new = (in_wide, in_narrow) if phrases is _REQUEST else (in_narrow, in_wide)
    changes += [f"{where}: {name} was removed" for name in old if name not in new]
    changes += [f"{where}: {phrases.required(name)}" for name in sorted(missing) if name in new]
    for name in in_wide:
        if name in in_narrow:
            changes += _find_uncontained(in_wide[name], in_narrow[name], f"{where}.{name}", phrases, seen)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(wide.schema.get(key), dict) and isinstance(narrow.schema.get(key), dict):
            changes += _find_uncontained(wide.child(key), narrow.child(key), f"{where}{mark}", phrases, seen)
    places = zip(wide.schema.get("prefixItems", ()), narrow.schema.get("prefixItems", ()), strict=False)
    for index, (one, other) in enumerate(places):
        changes += _find_uncontained(
            SchemaInSpec(wide.spec, one), SchemaInSpec(narrow.spec, other), f"{where}[{index}]", phrases, seen
        )
    return changes


def _same_type(wide: str | None, narrow: str | None) -> bool:
    return narrow is None or wide == narrow or (wide, narrow) == ("integer", "number")


def _values(wide: SchemaInSpec, narrow: SchemaInSpec, phrases: Phrases) -> list[str]:
    allowed = narrow.values()
    if allowed is None:
        return []
    possible = wide.values()
    return [phrases.value(value) for value in (["anything"] if possible is None else possible) if value not in allowed]


def _bounds(wide: SchemaInSpec, narrow: SchemaInSpec, phrases: Phrases) -> list[str]:
    changes = []
    for bounds, tighter in ((_LARGEST, min), (_SMALLEST, max)):
        for bound in bounds:
            if bound in narrow.schema:
                limit = narrow.schema[bound]
                if bound not in wide.schema or tighter(wide.schema[bound], limit) != wide.schema[bound]:
                    changes.append(phrases.bound(bound, limit))
    for key in _EXACT:
        if key in narrow.schema and wide.schema.get(key) != narrow.schema[key]:
            changes.append(phrases.bound(key, narrow.schema[key]))
    return changes
