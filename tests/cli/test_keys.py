"""The command `rdw keys`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from app.core.settings import get_settings
from app.db.session import engine_for
from tests.support import find_free_port


@pytest.fixture
def rdw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command on a database of its own; its exit code, stdout and stderr."""
    monkeypatch.setenv("RDW_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RDW_PORT", str(find_free_port()))
    for name in ("RDW_DATABASE_URL", "RDW_API_KEYS", "RDW_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("app.core.logging.configure", lambda form: None)
    get_settings.cache_clear()

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    assert run("migrate")[0] == 0
    database = get_settings().database
    yield run
    engine_for(database).dispose()
    get_settings.cache_clear()


def test_key_is_created_listed_and_revoked(rdw) -> None:
    code, secret, err = rdw("keys", "create", "--name", "ci", "--scope", "train", "--expires", "90d")
    assert code == 0 and secret.startswith("rdw_") and secret.count("\n") == 1
    assert secret.strip() not in err

    code, listed, _ = rdw("keys", "list", "--json")
    (key,) = json.loads(listed)
    assert (key["name"], key["scope"], key["state"]) == ("ci", "train", "live")
    assert key["expires_at"] > key["created_at"]
    assert secret.strip() not in listed

    assert rdw("keys", "revoke", key["id"])[0] == 0
    assert "revoked" in rdw("keys", "list")[1]


def test_duplicate_unknown_and_invalid_keys_are_refused(rdw) -> None:
    assert rdw("keys", "create", "--name", "ci", "--scope", "read")[0] == 0

    code, shown, err = rdw("keys", "create", "--name", "ci", "--scope", "read")
    assert (code, shown) == (1, "") and "'ci'" in err
    code, _, err = rdw("keys", "revoke", "nobody")
    assert code == 1 and "'nobody'" in err
    for wrong in (["--name", "a\nb"], ["--name", "b", "--expires", "soon"], ["--name", "b", "--expires", "0d"]):
        assert main(["keys", "create", "--scope", "read", *wrong]) == 2


def test_keys_are_revoked_by_age(rdw) -> None:
    rdw("keys", "create", "--name", "old", "--scope", "read")

    assert rdw("keys", "revoke-before", "2020-01-01")[1] == "revoked: none\n"
    assert json.loads(rdw("keys", "revoke-before", "now", "--json")[1])[0]["state"] == "revoked"
    assert rdw("keys", "revoke-before", "now")[1] == "revoked: none\n"
    rdw("keys", "create", "--name", "new", "--scope", "read")
    assert "live" in rdw("keys", "list")[1]
    for wrong in ("soon", "", "2026-13-01"):
        assert main(["keys", "revoke-before", wrong]) == 2


def test_stored_key_permits_a_public_host(rdw, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr("app.http.server.run", started.append)
    monkeypatch.setenv("RDW_HOST", "0.0.0.0")
    get_settings.cache_clear()

    code, _, err = rdw("api")
    assert (code, started) == (1, []) and "rdw keys create" in err
    rdw("keys", "create", "--name", "ci", "--scope", "read")
    assert rdw("api")[0] == 0
    rdw("keys", "revoke", "ci")  # nobody gets in, so there is nothing to refuse
    assert rdw("api")[0] == 0
    assert len(started) == 2


def test_public_host_needs_a_readable_key_table(
    rdw, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RDW_HOST", "0.0.0.0")
    for url in (postgres, f"sqlite:///{tmp_path / 'empty'}", f"postgresql://nobody@127.0.0.1:{find_free_port()}/none"):
        monkeypatch.setenv("RDW_DATABASE_URL", url)
        get_settings.cache_clear()
        code, _, err = rdw("api")
        assert code == 1 and "lets other machines in" in err
    engine_for(f"sqlite:///{tmp_path / 'empty'}").dispose()
