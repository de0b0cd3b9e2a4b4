"""Every command of the documents is run as it stands there, in order, against a service with a worker.

Not run here are blocks of `console`: what sets up, serves or deploys. `docs/cli.md` and `docs/client.md` are run in
`tests/cli`, back-ups of `docs/operations.md` in `tests/db`, bodies after `POST /v1/…` in `tests/api`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import served, worker
from tests.support import absent

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/quick-start.md", "docs/how-to.md", "docs/api.md")
ELSEWHERE = ("docs/cli.md", "docs/client.md", "docs/operations.md")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.timeout(600)
def test_the_commands_of_a_document(document: str, tmp_path: Path) -> None:
    for tool in ("jq", "curl"):
        if shutil.which(tool) is None:
            absent(tool)
    python = f'"{sys.executable}"'
    start = f'set -euo pipefail\nrdw() {{ {python} -m app.cli "$@"; }}\npython3() {{ {python} "$@"; }}\n'
    with served(tmp_path / "data") as service, worker(service):
        commands = "\n".join(blocks(document, "sh")).replace("http://127.0.0.1:8000", service.url)
        environment = {**service.environment, "NO_COLOR": "1"}
        ran = subprocess.run(
            ["bash", "-c", start + commands],
            capture_output=True,
            text=True,
            timeout=500,
            cwd=tmp_path,
            env=environment,
        )

        snippets = [sys.executable, "-c", "\n".join(blocks(document, "python"))]
        shown = subprocess.run(snippets, capture_output=True, text=True, timeout=100, cwd=tmp_path, env=environment)

    assert ran.returncode == 0, ran.stderr[-2000:] + ran.stdout[-2000:]
    assert shown.returncode == 0, shown.stderr[-2000:]
    answers = [line for line in ran.stdout.splitlines() if line.startswith('{"type":"/problems/')]
    assert len(answers) == (1 if document == "docs/api.md" else 0), answers  # curl tells no error by itself


def test_no_document_is_left_out() -> None:
    with_commands = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
        if blocks(str(path.relative_to(ROOT)), "sh")
    }

    assert with_commands <= {*DOCUMENTS, *ELSEWHERE}
    assert with_commands >= {*DOCUMENTS}


@pytest.mark.parametrize("document", sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")))
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), target
