"""What of an API would break its clients, by two OpenAPI specs: of before and of now.

Fields, routes and what requests may say are added freely. Whatever was taken has to be taken still, and whatever is
answered has to be among what was answered before: one containment of schemas, looked at from either side.
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
class Side:
    """A schema, and the spec that its references are of."""

    spec: Spec
    schema: Spec

    def choices(self) -> list[Side]:
        """The plain schemas that it is a choice of; of a plain one itself."""
        schema = self.schema
        while "$ref" in schema:
            schema = self.spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        either = schema.get("anyOf") or schema.get("oneOf")
        if either:
            return [plain for one in either for plain in Side(self.spec, one).choices()]
        if isinstance(schema.get("type"), list):
            return [Side(self.spec, {**schema, "type": one}) for one in schema["type"]]
        return [Side(self.spec, schema)]

    def values(self) -> list[Any] | None:
        """All that it can be, where they are few."""
        return [self.schema["const"]] if "const" in self.schema else self.schema.get("enum")

    def within(self, key: str) -> Side:
        return Side(self.spec, self.schema[key])

    def properties(self) -> dict[str, Side]:
        return {name: Side(self.spec, schema) for name, schema in self.schema.get("properties", {}).items()}


@dataclass(frozen=True)
class Words:
    """How what is found is said: of a request, that it is no longer taken; of an answer, that it is something else."""

    value: Callable[[Any], str]
    bound: Callable[[str, Any], str]
    required: Callable[[str], str]


_REQUEST = Words("{} is not taken".format, "{} is {}".format, "{} is required".format)
_ANSWER = Words("may be {}".format, "{} is no longer {}".format, "{} may be missing".format)


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
    def request(was: Spec, schema: Spec, where: str) -> list[str]:
        return _gone_or_outside(Side(before, was), Side(now, schema), where, _REQUEST)

    def answer(was: Spec, schema: Spec, where: str) -> list[str]:
        return _gone_or_outside(Side(before, was), Side(now, schema), where, _ANSWER)

    parameters = {(p["in"], p["name"].lower()): p for p in new.get("parameters", ())}
    known = {(p["in"], p["name"].lower()): p for p in old.get("parameters", ())}
    for key, parameter in known.items():
        if key not in parameters:
            yield f"parameter {key[1]} is gone"
        else:
            yield from request(parameter["schema"], parameters[key]["schema"], f"parameter {key[1]}")
    for key, parameter in parameters.items():
        if parameter.get("required") and not known.get(key, {}).get("required"):
            yield f"parameter {key[1]} is required"
    for media, content in old.get("requestBody", {}).get("content", {}).items():
        other = new.get("requestBody", {}).get("content", {}).get(media)
        if other is None:
            yield f"a body of {media} is not taken"
        else:
            yield from request(content["schema"], other["schema"], "the body")
    if new.get("requestBody", {}).get("required") and not old.get("requestBody", {}).get("required"):
        yield "a body is required"
    for status, was in old["responses"].items():
        if status not in new["responses"]:
            if status.startswith("2"):
                yield f"answer {status} is gone"
            continue
        for media, content in was.get("content", {}).items():
            other = new["responses"][status].get("content", {}).get(media)
            if other is None:
                yield f"answer {status} is no longer {media}"
            else:
                yield from answer(content.get("schema", {}), other.get("schema", {}), f"answer {status}")


def _gone_or_outside(old: Side, new: Side, where: str, words: Words) -> list[str]:
    """Of a request what was taken and is not; of an answer what may come and could not; of both what is gone."""
    wide, narrow = (old, new) if words is _REQUEST else (new, old)
    return _outside(wide, narrow, where, words, ())


def _outside(wide: Side, narrow: Side, where: str, words: Words, seen: tuple[tuple[str, str], ...]) -> list[str]:
    """What the wide schema allows and the narrow one does not; [] where it is contained."""
    pair = (wide.schema.get("$ref", ""), narrow.schema.get("$ref", ""))
    if all(pair):
        if pair in seen:
            return []
        seen = (*seen, pair)
    found = []
    for one in wide.choices():
        others = [other for other in narrow.choices() if _same_type(one.schema.get("type"), other.schema.get("type"))]
        if others:
            found += min((_of_plain(one, other, where, words, seen) for other in others), key=len)
        else:
            found.append(f"{where}: {words.value(one.schema.get('type', 'anything'))}")
    return found


def _of_plain(wide: Side, narrow: Side, where: str, words: Words, seen: tuple[tuple[str, str], ...]) -> list[str]:
    found = [f"{where}: {change}" for change in (*_values(wide, narrow, words), *_bounds(wide, narrow, words))]
    there, here = wide.properties(), narrow.properties()
    missing = set(narrow.schema.get("required", ())) - set(wide.schema.get("required", ()))
    old, new = (there, here) if words is _REQUEST else (here, there)
    found += [f"{where}: {name} is gone" for name in old if name not in new]
    found += [f"{where}: {words.required(name)}" for name in sorted(missing) if name in new]
    for name in there:
        if name in here:
            found += _outside(there[name], here[name], f"{where}.{name}", words, seen)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(wide.schema.get(key), dict) and isinstance(narrow.schema.get(key), dict):
            found += _outside(wide.within(key), narrow.within(key), f"{where}{mark}", words, seen)
    places = zip(wide.schema.get("prefixItems", ()), narrow.schema.get("prefixItems", ()), strict=False)
    for index, (one, other) in enumerate(places):
        found += _outside(Side(wide.spec, one), Side(narrow.spec, other), f"{where}[{index}]", words, seen)
    return found


def _same_type(wide: str | None, narrow: str | None) -> bool:
    return narrow is None or wide == narrow or (wide, narrow) == ("integer", "number")


def _values(wide: Side, narrow: Side, words: Words) -> list[str]:
    allowed = narrow.values()
    if allowed is None:
        return []
    given = wide.values()
    return [words.value(value) for value in (["anything"] if given is None else given) if value not in allowed]


def _bounds(wide: Side, narrow: Side, words: Words) -> list[str]:
    found = []
    for bounds, tighter in ((_LARGEST, min), (_SMALLEST, max)):
        for bound in bounds:
            if bound in narrow.schema:
                limit = narrow.schema[bound]
                if bound not in wide.schema or tighter(wide.schema[bound], limit) != wide.schema[bound]:
                    found.append(words.bound(bound, limit))
    for key in _EXACT:
        if key in narrow.schema and wide.schema.get(key) != narrow.schema[key]:
            found.append(words.bound(key, narrow.schema[key]))
    return found
