"""The report of a reproduction: one self-contained HTML file, from the API's own responses."""

from __future__ import annotations

from app.report.page import draw_figures, render_evidence, render_experiment, render_html

__all__ = ["draw_figures", "render_evidence", "render_experiment", "render_html"]
