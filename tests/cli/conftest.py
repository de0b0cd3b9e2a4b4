"""The command as a person or a program calls it, against one service for each module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.cli import main
from tests.serving import RunningService, serve_api


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve_api(tmp_path_factory.mktemp("service")) as service:
        yield service


class Rdw:
    """Runs the command in this process; what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run and check the exit code; return stdout."""
        return self.both(*arguments, code=code)[0]

    def both(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        try:
            exit_code = main(list(arguments))
        except SystemExit as ended:
            exit_code = int(ended.code or 0)
        out, err = self._capsys.readouterr()
        assert exit_code == code, err or out
        return out, err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def rdw(service: RunningService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rdw:
    monkeypatch.setenv("RDW_URL", service.url)
    return Rdw(capsys)
