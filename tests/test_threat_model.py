"""Each line of the threat model has its test, and that test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROWS = [line for line in (ROOT / "docs" / "threat-model.md").read_text().splitlines() if line.startswith("| ")][1:]


def test_every_threat_has_tests_that_exist() -> None:
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    named = [re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1]) for row in ROWS]

    assert len(ROWS) > 15
    assert [row for row, names in zip(ROWS, named, strict=True) if not names] == []
    assert {name for names in named for name in names} - tests == set()
