"""`rdw alive`, the liveness probe of workers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.jobs.liveness import SignOfLife
from tests.support import find_free_port


def rdw_alive(settings: Settings) -> tuple[int, str]:
    environment = {
        **os.environ,
        "RDW_DATA_DIR": str(settings.data_dir),
        "RDW_DATABASE_URL": settings.database_url,
        "TMPDIR": tempfile.gettempdir(),
    }
    asked = subprocess.run(
        [sys.executable, "-m", "app.cli", "alive"], capture_output=True, text=True, env=environment, timeout=60
    )
    return asked.returncode, asked.stdout.strip()


def test_worker_is_alive_without_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = Settings(
        data_dir=tmp_path, database_url=f"postgresql://nobody@127.0.0.1:{find_free_port()}/none", broker_url=""
    )
    assert rdw_alive(settings) == (1, "alive: none")

    worker = SignOfLife(settings, "a-host:7")
    worker.start()
    deadline = time.monotonic() + 60
    while (found := rdw_alive(settings)) != (0, "alive: a-host:7"):
        assert time.monotonic() < deadline, found
    assert rdw_alive(settings.model_copy(update={"data_dir": tmp_path / "another"})) == (1, "alive: none")

    worker.stop()
    assert rdw_alive(settings) == (1, "alive: none")


def test_killed_worker_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = Settings(data_dir=tmp_path, database_url="", broker_url="")
    worker = SignOfLife(settings, "a-host:7")
    worker.start()
    worker.stop()
    [folder] = tmp_path.glob("rdw-workers-*")
    (folder / "a-host:8").touch()
    assert rdw_alive(settings) == (0, "alive: a-host:8")

    os.utime(folder / "a-host:8", (0, 0))  # its last sign is long ago

    assert rdw_alive(settings) == (1, "alive: none")
