"""Unsafe code that ruff's rules (`S`) do not detect: arrays and weights that may be pickles."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_UNPICKLES = re.compile(r"\ballow_pickle\s*=(?!\s*False\b)|\bweights_only\s*=(?!\s*True\b)|\bnp\.load\([^()]*\*\*")


def test_arrays_and_weights_are_never_unpickled() -> None:
    """NumPy and torch unpickle only where they are told to."""
    sources = [path for folder in ("app", "worker", "client") for path in (ROOT / folder).rglob("*.py")]

    assert len(sources) > 100
    assert [str(path) for path in sources if _UNPICKLES.search(path.read_text())] == []
