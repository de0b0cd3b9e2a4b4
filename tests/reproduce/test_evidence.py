"""The evidence in the documentation is that of the recorded trainings."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs" / "evidence.md"


def test_readme_quotes_the_answer() -> None:
    _, answer, *_ = EVIDENCE.read_text().split("\n\n")

    assert answer in (ROOT / "README.md").read_text()


@pytest.mark.exhaustive
def test_page_is_computed_from_the_records(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "bench" / "experiment_report.py"))
    files = script["find_files"](script["RECORDED"])

    written, *pages = script["write"](script["read_experiments"](files), tmp_path)

    assert written.read_text() == EVIDENCE.read_text()
    assert {page.name for page in pages} == {page.name for page in (EVIDENCE.parent / "evidence").iterdir()}
