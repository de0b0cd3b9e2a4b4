"""`python -m worker.fetch` prints which way and why, then the set to train on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import typefaces
from app.datasets import DIGITS, FASHION_MNIST
from tests.worker.support import fashion_mnist
from worker import fetch as fetching


def fetch(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.fetch", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "RDW_DATA_DIR": str(data_dir)},
    )


def test_fashion_mnist_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    fashion_mnist(20)

    done = fetch(tmp_path, FASHION_MNIST.name)

    assert done.returncode == 0
    assert done.stdout.splitlines() == ["Fashion-MNIST: already on this machine", FASHION_MNIST.name]
    assert list(tmp_path.iterdir()) == []


def test_digits_need_no_fetching(tmp_path: Path) -> None:
    assert fetch(tmp_path, DIGITS.name).stdout.splitlines()[-1] == DIGITS.name


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["imagenet"], 2)])
def test_the_usage_names_the_sets(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = fetch(tmp_path, *arguments)

    assert done.returncode == code
    assert "{fashion-mnist,digits,typefaces}" in done.stdout + done.stderr


def test_without_fonts_the_whole_command_that_installs_them_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(typefaces, "font_folders", lambda: [tmp_path])
    monkeypatch.setattr(sys, "argv", ["fetch", typefaces.NAME])

    assert fetching.main() == 1
    assert "of 0 families are too few: apt-get install -y fonts-3270 " in capsys.readouterr().err
