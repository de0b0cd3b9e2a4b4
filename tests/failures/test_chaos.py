"""A short version of `make chaos`: after a few faults every trial is counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.failures.chaos import EmbeddedSetup, ServerSetup, run

pytestmark = pytest.mark.exhaustive


@pytest.mark.timeout(600)
def test_chaos_counts_every_trial_once_embedded(tmp_path: Path) -> None:
    report = run(EmbeddedSetup(tmp_path), trials=4, pause=0.5, max_faults=5)

    assert report.passed, report
    assert report.repeated_epochs <= len(report.faults), report  # at most one epoch per fault


@pytest.mark.timeout(600)
def test_chaos_counts_every_trial_once_on_servers(tmp_path: Path, postgres: str, redis: str) -> None:
    report = run(ServerSetup(tmp_path, outage_seconds=2.0), trials=4, pause=0.5, max_faults=6)

    assert report.passed, report
    assert report.repeated_epochs <= len(report.faults), report  # at most one epoch per fault
