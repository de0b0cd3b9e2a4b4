"""Every command in the documents runs as shown, in order, against a service with a worker.

Blocks of `console` are not run: they set up, serve or deploy. `tests/cli` runs `docs/cli.md` and `docs/client.md`,
`tests/db` the backups of `docs/operations.md`, and `tests/api` the bodies after `POST /v1/…`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import RunningService, run_worker, serve_api
from tests.support import skip_without

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "docs/quick-start.md",
    "docs/how-to.md",
    "docs/api.md",
    "docs/tutorials/own-images.md",
    "docs/tutorials/automl-loop.md",
    "docs/tutorials/production.md",
)
ELSEWHERE = ("docs/cli.md", "docs/client.md", "docs/operations.md")
SEQUENCE = (
    "README.md",
    "docs/quick-start.md",
    "docs/how-to.md",
    "docs/cli.md",
    "docs/client.md",
    "docs/api.md",
    "docs/tutorials/own-images.md",
    "docs/tutorials/automl-loop.md",
    "docs/tutorials/production.md",  # last: once it has created a key, every request needs one
)

PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def run_document(document: str, service: RunningService, folder: Path) -> tuple[str, str]:
    """Run the commands and then the Python code of a document in the folder; return what each printed."""
    python = f'"{sys.executable}"'
    start = f'set -euo pipefail\nrdw() {{ {python} -m app.cli "$@"; }}\npython3() {{ {python} "$@"; }}\n'
    commands = "\n".join(blocks(document, "sh")).replace("http://127.0.0.1:8000", service.url)
    environment = {**service.environment, "NO_COLOR": "1"}
    printed = []
    for command in (
        ["bash", "-c", start + commands],
        [sys.executable, "-c", "\n".join(blocks(document, "python"))],
    ):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=1200, cwd=folder, env=environment)
        assert ran.returncode == 0, (document, ran.stderr[-2000:] + ran.stdout[-2000:])
        printed.append(ran.stdout)
    problems = [line for line in printed[0].splitlines() if line.startswith('{"type":"/problems/')]
    assert len(problems) == (1 if document == "docs/api.md" else 0), problems  # curl exits with 0 on an error response
    return printed[0], printed[1]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    for tool in ("jq", "curl"):
        if shutil.which(tool) is None:
            skip_without(tool)
    with serve_api(tmp_path / "data") as service, run_worker(service):
        yield service


@pytest.mark.parametrize(
    "document", [DOCUMENTS[0], *(pytest.param(name, marks=pytest.mark.exhaustive) for name in DOCUMENTS[1:])]
)
@pytest.mark.timeout(1300)
def test_the_commands_of_a_document(document: str, service: RunningService, tmp_path: Path) -> None:
    printed = "".join(run_document(document, service, tmp_path))

    if document == "README.md":
        assert [output for output in blocks(document, "text") if output not in printed] == [], printed


@pytest.mark.exhaustive
@pytest.mark.timeout(2400)
def test_documents_run_in_sequence_on_one_service(service: RunningService, tmp_path: Path) -> None:
    for document in SEQUENCE:
        run_document(document, service, tmp_path)


def test_sequence_has_every_document_read_by_users() -> None:
    assert {*SEQUENCE} == {*DOCUMENTS, *ELSEWHERE} - {"docs/operations.md"}


def test_no_document_is_left_out() -> None:
    with_commands = {document for document in PAGES if blocks(document, "sh")}

    assert with_commands <= {*DOCUMENTS, *ELSEWHERE}
    assert with_commands >= {*DOCUMENTS}


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()

    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("document", PAGES)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), target
