"""An activity that is retried forever logs each failure once, and its recovery once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.trials.reconciliation import reconcile
from tests.failures.service import wait_for
from tests.support import LocalClient


def test_unexpected_error_is_logged_once_with_location(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from app.db.migrate import upgrade

    upgrade(sqlite)
    settings = Settings(data_dir=tmp_path, database_url=sqlite, broker_url="", reconcile_seconds=0.1)
    looks = []

    def broken(work: UnitOfWork, of: Settings) -> None:
        if of is not settings:  # services that other tests share run their own loops in this process
            return reconcile(work, of)
        looks.append(1)
        raise RuntimeError(f"odd, for the {len(looks)}. time")

    def said(words: str) -> list[logging.LogRecord]:
        return [record for record in caplog.records if words in record.getMessage()]

    caplog.set_level(logging.INFO, "rdw.maintenance")
    with monkeypatch.context() as patched, LocalClient(create_app(settings)):
        patched.setattr("app.jobs.background.reconcile", broken)
        wait_for(lambda: len(looks) >= 4, lambda: caplog.text)
        [only] = said("could not run the maintenance loop")
        assert only.exc_info and "odd" in str(only.exc_info[1])
        patched.undo()
        wait_for(lambda: bool(said("could run the maintenance loop again")), lambda: caplog.text)
