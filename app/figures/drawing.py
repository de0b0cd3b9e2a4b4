"""A figure together with the values it was drawn from: plot and CSV come from the same rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure

Format = Literal["svg", "png", "csv"]
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Drawing:
    """A figure, what it shows in a sentence (for who does not see it), and its data, a row a mark.

    Columns carry their unit where it is not plain: accuracies are from 0 to 1, flops are multiply-adds of one image.
    """

    figure: Figure
    says: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    @classmethod
    def of(cls, figure: Figure, says: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> Drawing:
        return cls(figure, says, tuple(columns), tuple(map(tuple, rows)))

    def render(self, format: Format) -> bytes:
        """The file; the same bytes for the same values."""
        return {"svg": self.svg, "png": self.png, "csv": self.csv}[format]()

    def svg(self) -> bytes:
        return self._saved("svg", {"Date": None})

    def png(self) -> bytes:
        return self._saved("png", {"Software": None})

    def csv(self) -> bytes:
        """RFC 4180 in UTF-8; floats to the last digit, nothing where a value is not known, flags as 0 and 1."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns)
        writer.writerows([int(value) if isinstance(value, bool) else value for value in row] for row in self.rows)
        return text.getvalue().encode()

    def _saved(self, format: str, metadata: dict[str, None]) -> bytes:
        target = io.BytesIO()
        self.figure.savefig(target, format=format, metadata=metadata)
        return target.getvalue()


def note(text: str, columns: Sequence[str]) -> Drawing:
    """Where there is nothing to draw yet: the figure says so, its data has no rows."""
    figure = Figure(figsize=(6.4, 2.0))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#6E6E6E")
    return Drawing.of(figure, text, columns, [])
