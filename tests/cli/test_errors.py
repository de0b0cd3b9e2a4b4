"""Errors around a response: invalid keys and addresses, a full disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.services.auth import keys
from tests.cli.conftest import Rdw
from tests.serving import RunningService, serve_api

KEY = "rdw_0123456789abcdef"


def shell(service: RunningService, line: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`rdw` as bash runs it."""
    program = f'rdw() {{ "{sys.executable}" -m app.cli "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, env={**service.environment, **more}, timeout=60
    )


def test_malformed_key_is_not_printed(rdw: Rdw, monkeypatch: pytest.MonkeyPatch) -> None:
    err = rdw.both("queue", "--key", f"{KEY}\nx", code=2)[1]
    assert err.startswith("error: key: ") and KEY not in err

    monkeypatch.setenv("RDW_API_KEY", f"{KEY}é")
    err = rdw.both("queue", code=2)[1]
    assert err.startswith("error: RDW_API_KEY: ") and KEY not in err


def test_insufficient_scope_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rdw = Rdw(capsys)
    with serve_api(tmp_path, api_keys="0" * 64) as closed:
        with closed.work() as work:
            key = keys.create(work, "reader", "read", None)[1]
        err = rdw.both("train", "tinynet_e", "--dataset", "digits", "--url", closed.url, "--key", key, code=4)[1]

        assert "needs a key of scope `train`" in err
        assert "larger scope" in err
        assert "Set RDW_API_KEY to a key of this service" not in err


def test_invalid_url_is_a_usage_error(rdw: Rdw) -> None:
    err = rdw.both("queue", "--url", "http://[::1", code=2)[1]

    assert "is not a valid service URL" in err and err.count("\n") == 1


def test_url_with_a_path_gets_a_hint(rdw: Rdw, service: RunningService) -> None:
    assert "RDW_URL" in rdw.both("queue", "--url", f"{service.url}/docs", code=1)[1]
    assert "RDW_URL" not in rdw.both("trials", "show", "0" * 32, code=1)[1]


@pytest.mark.parametrize("command", ["scale efficientnet_b0 --flops 200M", "architectures --json", "workers"])
def test_full_disk_is_reported_on_one_line(service: RunningService, command: str) -> None:
    ran = shell(service, f"rdw {command} >/dev/full")

    assert ran.returncode == 1
    lines = [line for line in ran.stderr.splitlines() if not line.startswith(("No worker", "warning:"))]
    assert lines == ["error: The output could not be written: No space left on device"]


def test_full_disk_error_names_the_file(rdw: Rdw) -> None:
    err = rdw.both("scale", "small", "--ratio", ".5", "--config", "/dev/full", code=1)[1]

    assert err == "error: /dev/full: No space left on device\n"


def test_unknown_baseline_is_reported_without_a_pattern(rdw: Rdw) -> None:
    for command in (
        ("scale", "EfficientNet_B9", "--flops", "200M"),
        ("train", "EfficientNet_B9", "--dataset", "digits"),
        ("study", "create", "a", "EfficientNet_B9", "--dataset", "digits"),
    ):
        err = rdw.both(*command, code=1)[1]
        assert err.startswith("error: There is no architecture 'EfficientNet_B9'. Did you mean efficientnet_b")
    err = rdw.both("trials", "list", "--architecture", "EfficientNet_B0", code=1)[1]
    assert err == "error: There is no baseline 'EfficientNet_B0': see `rdw architectures`\n"
    err = rdw.both("scale", "no such net", "--flops", "200M", "--json", code=2)[1]
    assert json.loads(err)["errors"][0]["pointer"] == "/architecture"
