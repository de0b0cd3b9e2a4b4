"""The first part of the demo, which needs no worker."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from rdw_client import Client

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def test_demo_shows_published_and_recommended_networks(rdw: Client, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(DEMO))["scale_b0"](rdw)

    shown = capsys.readouterr().out
    assert "published" in shown
    assert "200M" in shown
