"""Each row of the threat model links to its tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
LINKS = re.findall(r"^\|.*\| \[[\w -]+\]\(#([\w-]+)\) \|$", TEXT, re.MULTILINE)
SECTIONS = {
    title.lower().replace(" ", "-"): re.findall(r"^- `(test_\w+)`$", body, re.MULTILINE)
    for title, body in re.findall(r"^### (.+)\n((?:(?!#).*\n)*)", TEXT, re.MULTILINE)
}


def test_every_threat_has_tests_that_exist() -> None:
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }

    assert len(LINKS) > 15
    assert set(LINKS) == set(SECTIONS)
    assert all(SECTIONS.values())
    assert {name for names in SECTIONS.values() for name in names} - tests == set()
