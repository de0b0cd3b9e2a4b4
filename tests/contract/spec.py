"""The committed spec, docs/openapi.json: `python -m tests.contract.spec` writes it anew.

It refuses to where clients would break and the version is the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from app.main import create_app
from app.settings import Settings
from tests.contract.breaking import breaking

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def present() -> dict[str, Any]:
    """As the app has it now."""
    return json.loads(json.dumps(create_app(Settings(database_url="", broker_url="", api_keys="")).openapi()))


def committed() -> dict[str, Any]:
    return json.loads(COMMITTED.read_text())


def text(spec: dict[str, Any]) -> str:
    return json.dumps(spec, indent=1, ensure_ascii=False) + "\n"


def refused(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What would break clients without a new version saying so."""
    same = before["info"]["version"] == now["info"]["version"]
    return breaking(before, now) if same else []


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
