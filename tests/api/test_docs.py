"""The requests that the documents show get the documented responses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    (document.name, path, body)
    for document in sorted(DOCS.glob("*.md"))
    for path, body in re.findall(r"^POST (\S+)\n```json\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("document", "path", "body"), EXAMPLES)
def test_an_example_of_the_documents_works(client: TestClient, document: str, path: str, body: str) -> None:
    answer = client.post(path, json=json.loads(body))

    assert answer.status_code in (200, 201), answer.text


def test_there_are_examples() -> None:
    assert {document for document, _, _ in EXAMPLES} >= {"baselines.md", "budgets.md", "training.md"}
