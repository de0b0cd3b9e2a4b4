"""`rdw keys`, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from app.db.session import engine_for
from app.settings import get_settings
from tests.support import free_port


@pytest.fixture
def rdw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command on a database of its own; its exit code, output and what it said beside."""
    monkeypatch.setenv("RDW_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RDW_PORT", str(free_port()))
    for name in ("RDW_DATABASE_URL", "RDW_API_KEYS", "RDW_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("app.logs.configure", lambda form: None)
    get_settings.cache_clear()

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    assert run("migrate")[0] == 0
    yield run
    get_settings.cache_clear()


def test_a_key_is_shown_once_listed_and_revoked(rdw) -> None:
    code, secret, beside = rdw("keys", "create", "--name", "ci", "--scope", "train", "--expires", "90d")
    assert code == 0 and secret.startswith("rdw_") and secret.count("\n") == 1
    assert secret.strip() not in beside

    code, listed, _ = rdw("keys", "list", "--json")
    (key,) = json.loads(listed)
    assert (key["name"], key["scope"], key["state"]) == ("ci", "train", "live")
    assert key["expires_at"] > key["created_at"]
    assert secret.strip() not in listed

    assert rdw("keys", "revoke", key["id"])[0] == 0
    assert "revoked" in rdw("keys", "list")[1]


def test_what_cannot_be_is_said_in_a_line(rdw) -> None:
    assert rdw("keys", "create", "--name", "ci", "--scope", "read")[0] == 0

    code, shown, beside = rdw("keys", "create", "--name", "ci", "--scope", "read")
    assert (code, shown) == (1, "") and "'ci'" in beside
    code, _, beside = rdw("keys", "revoke", "nobody")
    assert code == 1 and "'nobody'" in beside
    for wrong in (["--name", "a\nb"], ["--name", "b", "--expires", "soon"], ["--name", "b", "--expires", "0d"]):
        with pytest.raises(SystemExit):
            main(["keys", "create", "--scope", "read", *wrong])


def test_a_key_of_the_table_opens_the_service_to_others(rdw, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr("app.serving.run", started.append)
    monkeypatch.setenv("RDW_HOST", "0.0.0.0")
    get_settings.cache_clear()

    code, _, beside = rdw("api")
    assert (code, started) == (1, []) and "rdw keys create" in beside
    rdw("keys", "create", "--name", "ci", "--scope", "read")
    assert rdw("api")[0] == 0
    rdw("keys", "revoke", "ci")  # nobody gets in, so there is nothing to refuse
    assert rdw("api")[0] == 0
    assert len(started) == 2


def test_without_tables_or_a_database_no_key_is_known(
    rdw, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RDW_HOST", "0.0.0.0")
    for url in (postgres, f"sqlite:///{tmp_path / 'empty'}", f"postgresql://nobody@127.0.0.1:{free_port()}/none"):
        monkeypatch.setenv("RDW_DATABASE_URL", url)
        get_settings.cache_clear()
        code, _, beside = rdw("api")
        assert code == 1 and "lets other machines in" in beside
    engine_for(f"sqlite:///{tmp_path / 'empty'}").dispose()
