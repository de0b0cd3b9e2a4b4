"""Writes the committed spec, docs/openapi.json: `python -m tests.contract.spec`.

It refuses a change that breaks clients unless the version changes too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.core.settings import Settings
from app.http.app import create_app
from tests.contract.breaking import find_breaking_changes

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def present() -> dict[str, Any]:
    """Return the spec that the application serves."""
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url="", broker_url="", api_keys="")
        return json.loads(json.dumps(create_app(settings).openapi()))


def committed() -> dict[str, Any]:
    return json.loads(COMMITTED.read_text())


def text(spec: dict[str, Any]) -> str:
    return json.dumps(spec, indent=1, ensure_ascii=False) + "\n"


def refused(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List changes that break clients although the version is the same."""
    same = before["info"]["version"] == now["info"]["version"]
    return find_breaking_changes(before, now) if same else []


def main() -> int:
    now = present()
    changes = refused(committed(), now) if COMMITTED.exists() else []
    for change in changes:
        print(change, file=sys.stderr)
    if changes:
        print("Clients would break: keep what they rely on, or raise `version` in pyproject.toml.", file=sys.stderr)
        return 1
    COMMITTED.write_text(text(now))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
