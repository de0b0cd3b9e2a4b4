"""A figure together with its values, so that plot and CSV come from the same rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from app.core.csv_cells import escape
from app.core.figures import FigureFormat

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Drawing:
    """A figure, its caption for readers who cannot see it, and its data, one row per mark.

    Columns carry their unit if it is not obvious: accuracies are from 0 to 1, flops are multiply-adds of one image.
    """

    figure: Figure
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    @classmethod
    def create(cls, figure: Figure, caption: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> Drawing:
        return cls(figure, caption, tuple(columns), tuple(map(tuple, rows)))

    def render(self, format: FigureFormat) -> bytes:
        """Return the file; the same bytes for the same values."""
        return {"svg": self.svg, "png": self.png, "csv": self.csv}[format]()

    def svg(self) -> bytes:
        return self._save("svg", {"Date": None})

    def png(self) -> bytes:
        return self._save("png", {"Software": None})

    def csv(self) -> bytes:
        """Return RFC 4180 in UTF-8: floats in full precision, missing values empty, flags as 0 and 1, no formulas."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns)
        writer.writerows(
            [int(value) if isinstance(value, bool) else escape(value) for value in row] for row in self.rows
        )
        return text.getvalue().encode()

    def _save(self, format: str, metadata: dict[str, None]) -> bytes:
        target = io.BytesIO()
        self.figure.savefig(target, format=format, metadata=metadata)
        return target.getvalue()


def empty_drawing(text: str, columns: Sequence[str]) -> Drawing:
    """Return a figure that says that there is nothing to draw yet, with no rows of data."""
    figure = Figure(figsize=(6.4, 2.0))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#6E6E6E")
    return Drawing.create(figure, text, columns, [])
