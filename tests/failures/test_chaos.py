"""`make chaos` in short: some faults, and every trial counted once. At length it is run by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.failures.chaos import Ground, Servers, run


@pytest.mark.timeout(600)
def test_whatever_dies_no_trial_is_lost_and_none_counts_twice_embedded(tmp_path: Path) -> None:
    report = run(Ground(tmp_path), trials=4, pause=0.5, faults=5)

    assert report.sound, report
    assert report.repeated <= len(report.harms), report  # at most one epoch a fault


@pytest.mark.timeout(600)
def test_whatever_dies_no_trial_is_lost_and_none_counts_twice_on_servers(
    tmp_path: Path, postgres: str, redis: str
) -> None:
    report = run(Servers(tmp_path, outage=2.0), trials=4, pause=0.5, faults=6)

    assert report.sound, report
    assert report.repeated <= len(report.harms), report  # at most one epoch a fault
