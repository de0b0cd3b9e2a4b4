"""Fills the page of HTTP operations from docs/openapi.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MARKER = "<!-- operations -->"
SPEC = Path(__file__).parents[1] / "openapi.json"
Schema = dict[str, Any]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    return markdown.replace(MARKER, _reference(json.loads(SPEC.read_text()))) if MARKER in markdown else markdown


def _reference(spec: Schema) -> str:
    operations = [
        (path, method, operation) for path, item in spec["paths"].items() for method, operation in item.items()
    ]
    tags = {tag["name"]: tag.get("description", "") for tag in spec.get("tags", [])}
    for _, _, operation in operations:
        tags.setdefault(_tag(operation), "")
    sections = []
    for tag, description in tags.items():
        parts = [_operation(spec, *one) for one in operations if _tag(one[2]) == tag]
        sections.append("\n\n".join([f"## {tag.capitalize()}", description, *parts]))
    parts = [_schema(spec, name, one) for name, one in sorted(spec["components"]["schemas"].items())]
    return "\n\n".join([*sections, "## Schemas", *parts])


def _schema(spec: Schema, name: str, schema: Schema) -> str:
    content = _table("Field", _fields(spec, schema)) or f"One of: {_type(schema)}"
    parts = [f"### {name} {{ #schema-{name} }}", schema.get("description", ""), content]
    return "\n\n".join(filter(None, parts))


def _tag(operation: Schema) -> str:
    return str((operation.get("tags") or ["other"])[0])


def _operation(spec: Schema, path: str, method: str, operation: Schema) -> str:
    parts = [f"### {operation['summary']}", f"`{method.upper()} {path}`", operation.get("description", "")]
    if operation.get("x-scope"):
        parts.append(f"Scope: `{operation['x-scope']}`")
    fields = [
        (p["name"], _type(p["schema"]), bool(p.get("required")), p["schema"].get("default"), p.get("description", ""))
        for p in operation.get("parameters", [])
        if p["in"] in ("path", "query")
    ]
    parts.append(_table("Parameter", fields))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        parts.append(_table("Body", _fields(spec, body)))
    answers = ", ".join(_answer(code, one) for code, one in operation["responses"].items() if code.startswith("2"))
    parts.append(f"Success: {answers}")
    return "\n\n".join(filter(None, parts))


def _fields(spec: Schema, schema: Schema) -> list[tuple[str, str, bool, Any, str]]:
    schema = _resolve(spec, schema)
    required = schema.get("required", [])
    return [
        (name, _type(one), name in required, one.get("default"), one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]


def _table(title: str, fields: list[tuple[str, str, bool, Any, str]]) -> str:
    if not fields:
        return ""
    rows = [
        f"| `{name}` | {kind} | {'required' if required else _default(default)} | {_cell(description)} |"
        for name, kind, required, default, description in fields
    ]
    return "\n".join([f"| {title} | Type | Default | Description |", "|---|---|---|---|", *rows])


def _answer(code: str, response: Schema) -> str:
    content = response.get("content", {})
    kinds = [_type(one["schema"]) for one in content.values() if "schema" in one]
    return f"{code} {kinds[0]}" if kinds else f"{code} {' or '.join(f'`{kind}`' for kind in content)}".strip()


def _resolve(spec: Schema, schema: Schema) -> Schema:
    reference = schema.get("$ref")
    return spec["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#schema-{name})"
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(_type(one) for one in options if one.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _default(value: Any) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
