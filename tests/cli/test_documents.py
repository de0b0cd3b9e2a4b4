"""What the documents and the example show is run as it stands, in order, against a service with a worker."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Served, served, worker
from tests.support import absent

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as service, worker(service):
        yield service


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(service: Served, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=280, cwd=folder, env={**service.environment, "NO_COLOR": "1"}
    )


def test_the_commands_of_the_document(service: Served, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        absent("jq")
    script = f'set -euo pipefail\nrdw() {{ "{sys.executable}" -m app.cli "$@"; }}\n' + "\n".join(blocks("cli.md", "sh"))

    ran = run(service, ["bash", "-c", script], tmp_path)

    assert ran.returncode == 0, ran.stderr + ran.stdout[-2000:]
    assert "completed" in ran.stdout
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert left >= {"network.json", "trained/weights.safetensors", "trained/log.csv", "front.png", "observations.csv"}
    assert len((tmp_path / "observations.csv").read_text().splitlines()) == 1 + 7  # one of them taken back


def test_the_document_names_every_command() -> None:
    from app.cli.completion import levels
    from app.cli.parser import parser

    text = (ROOT / "docs" / "cli.md").read_text()
    first = next(iter(levels(parser(), "rdw")))
    assert [name for name in first.commands if f"rdw {name}" not in text and name not in ("alive", "keys")] == []


def test_the_python_of_the_document(service: Served, tmp_path: Path) -> None:
    ran = run(service, [sys.executable, "-c", "\n".join(blocks("client.md", "python"))], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "weights.safetensors").stat().st_size > 1000


def test_the_example(service: Served, tmp_path: Path) -> None:
    ran = run(service, [sys.executable, str(ROOT / "examples" / "client.py"), "--trainings", "3"], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert "The front:" in ran.stdout
    assert re.search(r"^accuracy \d+\.\d%$", ran.stdout, re.MULTILINE)
