"""Each row of the bench of the method is within its limit, on fewer folds."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "method.py"))


@pytest.fixture(scope="module")
def recorded() -> Any:
    return BENCH["Recorded"].load(repeats=2)


@pytest.mark.parametrize("name", [name for name in BENCH["ROWS"] if not name.startswith("bands")])
def test_row_is_within_its_limit(name: str, recorded: Any) -> None:
    row = BENCH["ROWS"][name](recorded)

    assert row.is_met, row


@pytest.mark.parametrize("n", [20, 40, 80])
def test_bands_cover_what_they_say(n: int, recorded: Any) -> None:
    """Two repeats are ten subsets: coverage varies by some points around what six repeats give."""
    _, relative = BENCH["measure_errors"](recorded, BENCH["predict_by_surrogate"], recorded.subsets(n))

    assert 0.42 <= (abs(relative) <= BENCH["Z_50"]).mean() <= 0.6
    assert 0.82 <= (abs(relative) <= BENCH["Z_90"]).mean() <= 0.97


def test_table_names_each_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["method.py", "--row", "halving", "one-network"])
    BENCH["main"]()

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["halving", "surrogate"]
    assert all(" ok " in line for line in lines[1:])
