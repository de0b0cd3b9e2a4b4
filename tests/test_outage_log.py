"""What goes on for ever says each of its troubles once, and once that it is over."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.failures.service import wait_for


def test_what_nobody_expected_is_logged_once_with_where_it_was(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from app.db.migrate import upgrade

    upgrade(sqlite)
    looks = []

    def broken(work: object, settings: Settings) -> None:
        looks.append(1)
        raise RuntimeError(f"odd, for the {len(looks)}. time")

    def said(words: str) -> list[logging.LogRecord]:
        return [record for record in caplog.records if words in record.getMessage()]

    caplog.set_level(logging.INFO, "rdw.api")
    settings = Settings(data_dir=tmp_path, database_url=sqlite, broker_url="", reconcile_seconds=0.1)
    with monkeypatch.context() as patched, TestClient(create_app(settings)):
        patched.setattr("app.main.reconcile", broken)
        wait_for(lambda: len(looks) >= 4, 30, lambda: caplog.text)
        [only] = said("could not look for lost jobs")
        assert only.exc_info and "odd" in str(only.exc_info[1])
        patched.undo()
        wait_for(lambda: bool(said("could look for lost jobs again")), 30, lambda: caplog.text)
