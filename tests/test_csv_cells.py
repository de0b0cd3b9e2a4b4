"""Text in exported tables is no formula, and numbers stay numbers."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from app.core.csv_cells import escape, unescape
from app.figures.drawing import Drawing


@given(st.text())
@example("''=x")
@example("'plain")
@example("\t=x")
def test_unescaping_is_the_inverse(text: str) -> None:
    cell = str(escape(text))

    assert unescape(cell) == text
    assert not cell.startswith(tuple("=+-@\t\r\n"))


@pytest.mark.parametrize("value", [-1, -0.5, None, 1e-9])
def test_numbers_stay_numbers(value: float | None) -> None:
    assert escape(value) == value


def test_data_of_a_figure_is_no_formula() -> None:
    drawing = Drawing.create(Figure(), "", ["name", "value"], [["=cmd|'/c calc'!A1", -1.5], ["plain", 2]])

    assert list(csv.reader(io.StringIO(drawing.csv().decode()))) == [
        ["name", "value"], ["'=cmd|'/c calc'!A1", "-1.5"], ["plain", "2"],
    ]  # fmt: skip
