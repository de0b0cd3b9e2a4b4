"""The report of a reproduction: one HTML file that needs nothing else, from the API's own answers."""

from __future__ import annotations

from app.report.document import drawings, write

__all__ = ["drawings", "write"]
