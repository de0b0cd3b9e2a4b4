"""Passwords and keys are never printed, logged or returned, whatever fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.core.logging import redact
from app.core.settings import Settings
from tests.failures.service import wait_for
from tests.support import find_free_port

PASSWORD = "hunter2-of-the-database"
SECRET = "rdw_hunter2-of-the-caller-aaaaaaaaaaaaaaaaaaaaaaa"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("postgresql://me:secret@db/x is away", "postgresql://me:***@db/x is away"),
        ("redis://:secret@db:6379/0", "redis://:***@db:6379/0"),
        ("postgresql+psycopg://me:p%40ss:w@[::1]/x", "postgresql+psycopg://me:***@[::1]/x"),
        ("{'authorization': 'Bearer abc.def-1'}", "{'authorization': 'Bearer ***'}"),
        (f"key {SECRET}.", "key ***."),
        ("http://host:80/a and me@host", "http://host:80/a and me@host"),
        ('{"url": "http://host:80", "mail": "me@host"}', '{"url": "http://host:80", "mail": "me@host"}'),
    ],
)
def test_only_secrets_are_masked(said: str, shown: str) -> None:
    assert redact(said) == shown


def test_settings_do_not_show_secrets() -> None:
    database, broker = f"postgresql://me:{PASSWORD}@db/x", f"redis://me:{PASSWORD}@queue/0"

    assert PASSWORD not in repr(Settings(database_url=database, broker_url=broker))


def test_failing_run_shows_no_secrets(tmp_path: Path) -> None:
    """The database and the broker are away, and callers send keys that are wrong."""
    away = f"127.0.0.1:{find_free_port()}"
    environment = {
        **os.environ,
        "RDW_DATA_DIR": str(tmp_path),
        "RDW_DATABASE_URL": f"postgresql://me:{PASSWORD}@{away}/x",
        "RDW_BROKER_URL": f"redis://me:{PASSWORD}@{away}/0",
        "RDW_PORT": str(port := find_free_port()),
    }
    log = tmp_path / "log"
    with log.open("wb") as opened:
        command = [sys.executable, "-m", "app.cli"]
        api = subprocess.Popen([*command, "api"], env=environment, stdout=opened, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                answers = ask(client, api)
        finally:
            api.terminate()
            api.wait(120)
        migrated = subprocess.run([*command, "migrate"], env=environment, stdout=opened, stderr=subprocess.STDOUT)
    shown = log.read_text() + "".join(answers)

    assert migrated.returncode == 1
    assert "not ready" in shown and "/problems/database-unavailable" in shown
    assert PASSWORD not in shown
    assert SECRET not in shown


def ask(client: httpx.Client, api: subprocess.Popen[bytes]) -> list[str]:
    """What a caller with a secret is answered, headers and all."""

    def listens() -> bool:
        assert api.poll() is None
        try:
            return client.get("/healthz").is_success
        except httpx.TransportError:
            return False

    wait_for(listens, lambda: "the API does not listen")
    headers = {"Authorization": f"Bearer {SECRET}"}
    answers = [client.get(path, headers=headers) for path in ("/readyz", "/metrics", "/v1/queue")]
    return [f"{answer.headers}{answer.text}" for answer in answers]


@pytest.mark.parametrize(("name", "scheme"), [("RDW_DATABASE_URL", "postgresql"), ("RDW_BROKER_URL", "redis")])
def test_unencoded_password_is_not_shown(name: str, scheme: str, tmp_path: Path) -> None:
    for command in ("migrate", "worker"):
        refused = subprocess.run(
            [sys.executable, "-m", "app.cli", command],
            env={**os.environ, "RDW_DATA_DIR": str(tmp_path), name: f"{scheme}://me:{PASSWORD}/more@host/0"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert refused.returncode != 0
        assert f"{name}: " in refused.stderr and "percent-encoded" in refused.stderr
        assert PASSWORD not in refused.stdout + refused.stderr


def test_wrong_password_is_not_shown(postgres: str, tmp_path: Path) -> None:
    wrong = postgres.replace("postgres@", f"nobody-of-that-name:{PASSWORD}@")
    refused = subprocess.run(
        [sys.executable, "-m", "app.cli", "migrate"],
        env={**os.environ, "RDW_DATA_DIR": str(tmp_path), "RDW_DATABASE_URL": wrong},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert refused.returncode == 1
    assert "nobody-of-that-name" in refused.stderr
    assert PASSWORD not in refused.stderr
