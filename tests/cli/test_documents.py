"""The commands of docs/cli.md, the code of docs/client.md and the example run as shown, against a service."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from app.cli.main import app
from tests.serving import RunningService, run_worker, serve_api
from tests.support import skip_without

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve_api(tmp_path_factory.mktemp("service")) as service, run_worker(service):
        yield service


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(service: RunningService, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=280, cwd=folder, env={**service.environment, "NO_COLOR": "1"}
    )


@pytest.mark.exhaustive
def test_commands_of_the_document_run(service: RunningService, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        skip_without("jq")
    script = f'set -euo pipefail\nrdw() {{ "{sys.executable}" -m app.cli "$@"; }}\n' + "\n".join(blocks("cli.md", "sh"))

    ran = run(service, ["bash", "-c", script], tmp_path)

    assert ran.returncode == 0, ran.stderr + ran.stdout[-2000:]
    assert "completed" in ran.stdout
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert left >= {"network.json", "trained/weights.safetensors", "trained/log.csv", "front.png", "observations.csv"}
    assert len((tmp_path / "observations.csv").read_text().splitlines()) == 1 + 7  # one of them retracted


def test_document_names_every_command() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in vars(get_command(app))["commands"] if f"rdw {name}" not in text] == []


@pytest.mark.exhaustive
def test_python_of_the_document_runs(service: RunningService, tmp_path: Path) -> None:
    ran = run(service, [sys.executable, "-c", "\n".join(blocks("client.md", "python"))], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "weights.safetensors").stat().st_size > 1000


@pytest.mark.exhaustive
def test_client_example_runs(service: RunningService, tmp_path: Path) -> None:
    ran = run(service, [sys.executable, str(ROOT / "examples" / "client.py"), "--trainings", "3"], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert "The front:" in ran.stdout
    assert re.search(r"^accuracy \d+\.\d%$", ran.stdout, re.MULTILINE)
