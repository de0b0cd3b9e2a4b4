"""Every operation has a description and examples that work on a new service, in the spec's order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.core.settings import Settings
from app.http.app import create_app
from tests.contract.spec import committed
from tests.support import LocalClient

SPEC = committed()
OPERATIONS = [
    (method, path, operation) for path, operations in SPEC["paths"].items() for method, operation in operations.items()
]


BY_ID = {operation["operationId"]: operation for _, _, operation in OPERATIONS}


def example_names(operation: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    """Return media type and name of each example of a body; without a name if the type has only one."""
    contents = operation.get("requestBody", {}).get("content", {})
    named = [(media, name) for media, content in contents.items() for name in content.get("examples") or [None]]
    return named or [(None, None)]


@pytest.mark.parametrize("operation", [o for _, _, o in OPERATIONS], ids=[o["operationId"] for _, _, o in OPERATIONS])
def test_an_operation_explains_itself(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert len(operation["description"]) > len(operation["summary"])
    assert operation["tags"][0] in [tag["name"] for tag in SPEC["tags"]]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        assert content.get("examples") or content.get("example"), f"no example as {media}"
    if operation["tags"] == ["health"]:
        return
    for status in ("401", "422"):
        assert "application/problem+json" in operation["responses"][status]["content"]


def test_tags_are_in_order_for_newcomers() -> None:
    order = [tag["name"] for tag in SPEC["tags"]]
    used = [operation["tags"][0] for _, _, operation in OPERATIONS]

    assert order[:3] == ["scale", "architectures", "datasets"]
    assert set(order) == set(used)


EXAMPLES = [
    pytest.param(operation["operationId"], media, name, id=f"{operation['operationId']}-{name or media or 'no body'}")
    for _, _, operation in OPERATIONS
    for media, name in example_names(operation)
]


class Walk:
    """Runs operations with examples, with ids from the answers before, as the links say."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.known: dict[tuple[str, str], Any] = {}

    def run(self, operation_id: str, media: str | None, example: str | None) -> httpx.Response:
        [(method, path, operation)] = [o for o in OPERATIONS if o[2]["operationId"] == operation_id]
        in_query = [p for p in operation.get("parameters", ()) if p["in"] == "query"]
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                found = self.known.get((operation_id, parameter["name"]), parameter.get("example"))
                assert found is not None, f"nothing says which {parameter['name']} {path} takes"
                path = path.replace(f"{{{parameter['name']}}}", str(found))
        sent: dict[str, Any] = {"params": {p["name"]: p["example"] for p in in_query if "example" in p}}
        if media is not None:
            content = operation["requestBody"]["content"][media]
            body = content["example"] if example is None else content["examples"][example]["value"]
            sent |= {"content": body if isinstance(body, str) else json.dumps(body), "headers": {"Content-Type": media}}
        return self.client.request(method, path, **sent)

    def prepare(self, operation_id: str) -> None:
        """Run the steps that have to come first."""
        for step in BY_ID[operation_id].get("x-first", ()):
            media = "application/json" if "example" in step else None
            answer = self.run(step["operationId"], media, step.get("example"))
            assert answer.is_success, f"{step}: {answer.text}"
            self._follow(BY_ID[step["operationId"]], answer)

    def _follow(self, operation: dict[str, Any], answer: httpx.Response) -> None:
        for link in operation["responses"][str(answer.status_code)].get("links", {}).values():
            for name, where in link["parameters"].items():
                if where.startswith("$response.body#"):
                    found = answer.json()
                    for step in where.partition("#/")[2].split("/"):
                        found = found[int(step)] if step.isdigit() else found[step]
                    self.known[link["operationId"], name] = found


@pytest.fixture
def pets(settings: Settings) -> None:
    """The folder of images that the example of a data set names: the only thing that the API cannot create."""
    folder = Path(settings.data_dir) / "datasets" / "pets"
    for number, (part, name) in enumerate(product(("train", "val"), ("cats", "dogs"))):
        (folder / part / name).mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (16, 16), (30 * index, 60 * number, 60)).save(folder / part / name / f"{index}.png")


@pytest.fixture
def new_service(settings: Settings, operation: str) -> Iterator[TestClient]:
    """A client of a new service, which has a key if the operation manages keys: the first key must be an `admin`."""
    secret = "a key" if BY_ID[operation]["tags"] == ["keys"] else ""
    digest = hashlib.sha256(secret.encode()).hexdigest() if secret else ""
    app = create_app(settings.model_copy(update={"api_keys": digest}))
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    with LocalClient(app, raise_server_exceptions=False, headers=headers) as client:
        yield client


# No worker runs in this test: nothing is trained, and the service is not ready.
WITHOUT_WORKER = {"read_artifact": 404, "readyz": 503}


@pytest.mark.parametrize(("operation", "media", "example"), EXAMPLES)
def test_example_works_on_a_new_service(
    new_service: TestClient, pets: None, operation: str, media: str | None, example: str | None
) -> None:
    walk = Walk(new_service)
    walk.prepare(operation)

    answer = walk.run(operation, media, example)

    expected = WITHOUT_WORKER.get(operation)
    assert answer.is_success if expected is None else answer.status_code == expected, answer.text
