"""`python -m worker.data.fetch` prints the source and the reason, then the data set to train on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.data import fonts
from app.data.builtin_datasets import DIGITS, FASHION_MNIST, TYPEFACES
from tests.worker.support import fashion_mnist, link_datasets
from worker.data import fetch as fetch_module

Fetch = Callable[..., int]


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Runs the command on a temporary data directory in this process, and returns its exit code."""

    def fetch(*arguments: str) -> int:
        monkeypatch.setattr(fetch_module, "get_settings", lambda: Settings(data_dir=tmp_path))
        monkeypatch.setattr(sys, "argv", ["fetch", *arguments])
        return fetch_module.main()

    return fetch


def test_existing_fashion_mnist_is_not_fetched_again(
    fetch: Fetch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fashion_mnist(20)
    link_datasets(tmp_path)

    assert fetch(FASHION_MNIST.name) == 0
    assert capsys.readouterr().out.splitlines() == ["Fashion-MNIST: already on this machine", FASHION_MNIST.name]


def test_digits_need_no_download(fetch: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(DIGITS.name) == 0
    assert capsys.readouterr().out.splitlines()[-1] == DIGITS.name


@pytest.mark.parametrize(
    ("arguments", "code"), [(["imagenet"], 2), pytest.param(["--help"], 0, marks=pytest.mark.exhaustive)]
)
def test_usage_names_data_sets(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker.data.fetch", *arguments], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == code
    assert "{fashion-mnist,digits,typefaces}" in done.stdout + done.stderr


def test_install_command_is_printed_without_fonts(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path])

    assert fetch(TYPEFACES) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "of 0 families are too few: apt-get install -y fonts-3270 " in output.err
