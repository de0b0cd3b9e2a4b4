"""Each row of the bench of the method is within its limit, on fewer folds."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCH: dict[str, Any] = runpy.run_path(str(ROOT / "bench" / "method.py"))


@pytest.fixture(scope="module")
def recorded() -> Any:
    return BENCH["Recorded"].load(repeats=2)


SLOW = {"ratio-1", "off-curve", "blocks", "largest-fit", "true-curves", *(f"noise-{n}" for n in (10, 20, 40))}
"""Rows that take seconds; the tests that the bench names check the same."""


@pytest.mark.parametrize("name", [name for name in BENCH["ROWS"] if not name.startswith("bands") and name not in SLOW])
def test_row_is_within_its_limit(name: str, recorded: Any) -> None:
    row = BENCH["ROWS"][name](recorded)

    assert row.is_met, row


@pytest.mark.parametrize("n", [20, 40, 80])
def test_bands_cover_what_they_say(n: int, recorded: Any) -> None:
    """Two repeats are ten subsets: coverage varies by some points around what six repeats give."""
    _, relative = BENCH["measure_errors"](recorded, BENCH["predict_by_surrogate"], recorded.subsets(n))

    assert 0.42 <= (abs(relative) <= BENCH["Z_50"]).mean() <= 0.6
    assert 0.82 <= (abs(relative) <= BENCH["Z_90"]).mean() <= 0.97


def test_each_of_the_eleven_weaknesses_has_rows_and_tests_that_exist() -> None:
    named = re.findall(r"(tests/\S+\.py)::(\w+)", BENCH["__doc__"])
    numbers = re.findall(r"^(\d+)\. .*(?:\n +.*)*?\n +tests/", BENCH["__doc__"], re.MULTILINE)
    rows = set(re.findall(r"`([\w-]+)`", BENCH["__doc__"])) - {"ROWS"}

    assert numbers == [str(n) for n in range(1, 12)]
    assert rows <= set(BENCH["ROWS"])
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text()


def test_table_names_each_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["method.py", "--row", "halving", "one-network"])
    BENCH["main"]()

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["halving", "surrogate"]
    assert all(" ok " in line for line in lines[1:])
