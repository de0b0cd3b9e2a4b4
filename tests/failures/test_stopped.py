"""Services that are stopped or killed: trials continue, and no process is left behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.failures.service import (
    PATIENCE,
    SET_UPS,
    Service,
    is_alive,
    running,
    service_settings,
    start_trial,
    wait_for,
)


@pytest.fixture(params=SET_UPS)
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    with service_settings(request) as settings:
        yield settings


@pytest.mark.exhaustive
def test_killed_service_leaves_no_process_and_resumes(tmp_path: Path, settings: dict[str, str]) -> None:
    first = Service(tmp_path, **settings)
    try:
        first.wait_until_ready()
        trial = start_trial(first)
        children = first.children("")
        assert len(children) == 2
        first.process.kill()
        first.process.wait(PATIENCE)
        wait_for(lambda: not any(map(is_alive, children)), lambda: f"still there: {children}")
    finally:
        first.stop()

    with running(tmp_path, **settings) as second:
        assert second.wait_for_trial(trial)["state"] == "completed"


def test_interrupt_stops_all_processes(tmp_path: Path, settings: dict[str, str]) -> None:
    with running(tmp_path, **settings) as service:
        start_trial(service)
        children = service.children("")

        service.process.send_signal(signal.SIGINT)

        assert service.process.wait(PATIENCE) == 0
        assert not any(map(is_alive, children))
