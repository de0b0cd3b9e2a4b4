"""What of an API would break its clients, by two OpenAPI specs: of before and of now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

_NARROWING = {"maximum": min, "exclusiveMaximum": min, "maxLength": min, "maxItems": min}
_WIDENING = {"minimum": max, "exclusiveMinimum": max, "minLength": max, "minItems": max}


def breaking(before: Spec, now: Spec) -> list[str]:
    """One line a change: an operation, answer or field that is gone, or a request that is no longer taken."""
    found = []
    for path, operations in before["paths"].items():
        for method, old in operations.items():
            new = now["paths"].get(path, {}).get(method)
            name = f"{method.upper()} {path}"
            if new is None:
                found.append(f"{name} is gone")
                continue
            found += [f"{name}: {change}" for change in _operation(before, now, old, new)]
    return sorted(set(found))


def _operation(before: Spec, now: Spec, old: Spec, new: Spec) -> Iterator[str]:
    parameters = {(p["in"], p["name"].lower()): p for p in new.get("parameters", ())}
    known = {(p["in"], p["name"].lower()): p for p in old.get("parameters", ())}
    for key, parameter in known.items():
        if key not in parameters:
            yield f"parameter {key[1]} is gone"
        else:
            yield from _request(before, now, parameter["schema"], parameters[key]["schema"], f"parameter {key[1]}", ())
    for key, parameter in parameters.items():
        if parameter.get("required") and not known.get(key, {}).get("required"):
            yield f"parameter {key[1]} is required"
    for media, content in old.get("requestBody", {}).get("content", {}).items():
        other = new.get("requestBody", {}).get("content", {}).get(media)
        if other is None:
            yield f"a body of {media} is not taken"
        else:
            yield from _request(before, now, content["schema"], other["schema"], "the body", ())
    if new.get("requestBody", {}).get("required") and not old.get("requestBody", {}).get("required"):
        yield "a body is required"
    for status, answer in old["responses"].items():
        if status not in new["responses"]:
            if status.startswith("2"):
                yield f"answer {status} is gone"
            continue
        for media, content in answer.get("content", {}).items():
            other = new["responses"][status].get("content", {}).get(media)
            if other is None:
                yield f"answer {status} is no longer {media}"
            elif content.get("schema") is not None:
                there = other.get("schema", {})
                yield from _answer(before, now, content["schema"], there, f"answer {status}", ())


def _request(before: Spec, now: Spec, old: Spec, new: Spec, where: str, seen: tuple[str, ...]) -> Iterator[str]:
    """What was taken and is not any more."""
    if old.get("$ref") in seen:
        return
    seen += (old.get("$ref", ""),)
    old, new = _resolved(before, old), _resolved(now, new)
    for required in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{where}: {required} is required"
    for name, schema in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{where}: {name} is gone"
        else:
            yield from _request(before, now, schema, new["properties"][name], f"{where}.{name}", seen)
    if "enum" in new:
        for value in old.get("enum", ["others"]):
            if value not in new["enum"]:
                yield f"{where}: {value} is not taken"
    for bounds, tighter in ((_NARROWING, min), (_WIDENING, max)):
        for bound in bounds:
            if bound in new and (bound not in old or tighter(old[bound], new[bound]) != old[bound]):
                yield f"{where}: {bound} is {new[bound]}"
    if _types(old) - _types(new):
        yield f"{where}: {', '.join(sorted(_types(old) - _types(new)))} is not taken"
    if "items" in old and "items" in new:
        yield from _request(before, now, old["items"], new["items"], f"{where}[]", seen)


def _answer(before: Spec, now: Spec, old: Spec, new: Spec, where: str, seen: tuple[str, ...]) -> Iterator[str]:
    """What was answered and is not any more, or may be something else."""
    if old.get("$ref") in seen:
        return
    seen += (old.get("$ref", ""),)
    old, new = _resolved(before, old), _resolved(now, new)
    for name, schema in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{where}: {name} is gone"
        else:
            yield from _answer(before, now, schema, new["properties"][name], f"{where}.{name}", seen)
    if _types(new) - _types(old) and _types(old):
        yield f"{where}: may be {', '.join(sorted(_types(new) - _types(old)))}"
    if "items" in old and "items" in new:
        yield from _answer(before, now, old["items"], new["items"], f"{where}[]", seen)


def _types(schema: Spec) -> set[str]:
    """Of a plain schema, or of a choice of plain ones; a choice of objects counts as object."""
    choices = schema.get("anyOf") or schema.get("oneOf") or [schema]
    found = set()
    for choice in choices:
        if "$ref" in choice:
            found.add("object")
        elif "type" in choice:
            found.add(choice["type"])
    return found


def _resolved(spec: Spec, schema: Spec) -> Spec:
    """Behind its reference; of a choice between one schema and null, that one (with null among its types)."""
    while "$ref" in schema:
        *_, name = schema["$ref"].split("/")
        schema = spec["components"]["schemas"][name]
    return schema
