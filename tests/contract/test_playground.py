"""Every operation has a description and examples that work on a new service, in the spec's order."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.core.settings import Settings
from tests.contract.spec import committed

SPEC = committed()
OPERATIONS = [
    (method, path, operation) for path, operations in SPEC["paths"].items() for method, operation in operations.items()
]


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


class Walk:
    """Runs examples, with ids from the answers before, as the links say."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.known: dict[tuple[str, str], Any] = {}

    def run(self, method: str, path: str, operation: dict[str, Any], body: Any, media: str) -> None:
        filled = path
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                found = self.known.get((operation["operationId"], parameter["name"]), parameter.get("example"))
                assert found is not None, f"nothing says which {parameter['name']} {path} takes"
                filled = filled.replace(f"{{{parameter['name']}}}", str(found))
        sent = {"content": body} if isinstance(body, str) else {} if body is None else {"json": body}
        answer = self.client.request(method, filled, headers={"Content-Type": media} if body else {}, **sent)
        # The trial has not been trained, since no worker runs here, and the only predictor is built-in.
        without = {"read_artifact": 404, "retry_trial": 409, "update_predictor": 409, "readyz": 503}
        expected = without.get(operation["operationId"])
        if expected is not None:
            assert answer.status_code == expected, answer.text
            return
        assert answer.is_success, f"{method} {filled}: {answer.text}"
        self._follow(operation, answer)

    def _follow(self, operation: dict[str, Any], answer: Any) -> None:
        links = operation["responses"][str(answer.status_code)].get("links", {})
        for link in links.values():
            for name, where in link["parameters"].items():
                if where.startswith("$response.body#"):
                    found = answer.json()
                    for step in where.partition("#/")[2].split("/"):
                        found = found[int(step)] if step.isdigit() else found[step]
                    self.known.setdefault((link["operationId"], name), found)


LAST = ("read_front", "read_correlations", "read_study_calibration", "read_figure", "refit_predictor", "train_family")


def test_examples_run_as_they_stand(client: TestClient, settings: Settings) -> None:
    pets = Path(settings.data_dir) / "datasets" / "pets"
    for number, (part, name) in enumerate(product(("train", "val"), ("cats", "dogs"))):
        (pets / part / name).mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (16, 16), (30 * index, 60 * number, 60)).save(pets / part / name / f"{index}.png")

    walk = Walk(client)
    streams = [o for o in OPERATIONS if o[2]["operationId"] == "follow_trial"]  # goes on for as long as it trains
    # What needs observations comes once there are some.
    later = [o for o in OPERATIONS if o[2]["operationId"] in LAST]
    ending = [o for o in OPERATIONS if o[2]["operationId"].startswith("cancel")]
    deletions = [o for o in OPERATIONS if o[0] == "delete"]  # have no example, and the others need what they delete
    first = [o for o in OPERATIONS if o not in (*later, *ending, *streams, *deletions)]
    # Observations are imported before they are read and taken back.
    first.sort(key=lambda o: o[2]["operationId"] in ("read_observations", "retract_observation", "resume_study"))
    for method, path, operation in (*first, *later, *ending):
        contents = operation.get("requestBody", {}).get("content", {})
        if not contents:
            walk.run(method, path, operation, None, "")
        for media, content in contents.items():
            bodies = [example["value"] for example in content.get("examples", {}).values()] or [content["example"]]
            for body in bodies:
                walk.run(method, path, operation, body, media)
