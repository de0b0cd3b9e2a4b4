"""The examples of the client's README run and print what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import run_worker, serve_api

README = (Path(__file__).parents[2] / "client" / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.exhaustive  # a training; the other tests of the client cover each call
def test_examples_print_what_the_readme_shows(tmp_path: Path) -> None:
    with serve_api(tmp_path / "data") as service, run_worker(service):
        ran = subprocess.run(
            [sys.executable, "-c", "\n".join(blocks("python"))],
            capture_output=True,
            text=True,
            timeout=200,
            cwd=tmp_path,
            env=service.environment,
        )

    assert ran.returncode == 0, ran.stderr
    scaled, trained, many = blocks("text")
    assert ran.stdout.startswith(scaled)
    assert re.sub(r"0\.\d\d", "", trained) in re.sub(r"0\.\d\d", "", ran.stdout)  # accuracies differ by machine
    assert ran.stdout.endswith(many)
