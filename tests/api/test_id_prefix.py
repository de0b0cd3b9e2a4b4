"""Lists of trials and studies are filtered by the beginning of their ids."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.support import SMALL

STUDY = {"architecture": "tinynet_e", "dataset": "digits"}


@pytest.fixture
def ids(client: TestClient) -> dict[str, list[str]]:
    """The ids of three studies and three trials."""
    client.post("/v1/architectures", json=SMALL).raise_for_status()
    studies = [client.post("/v1/studies", json={**STUDY, "name": f"study-{i}"}) for i in range(3)]
    trial = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
    trials = [client.post("/v1/trials", json={**trial, "seed": seed}) for seed in range(3)]
    return {
        "studies": [response.raise_for_status().json()["id"] for response in studies],
        "trials": [response.raise_for_status().json()["id"] for response in trials],
    }


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("length", [4, 12, 32])
def test_id_prefix_selects_ids_that_begin_with_it(client: TestClient, ids: dict[str, list[str]], length: int) -> None:
    for collection, known in ids.items():
        for one in known:
            items = client.get(f"/v1/{collection}", params={"id_prefix": one[:length]}).json()["items"]
            assert {item["id"] for item in items} == {other for other in known if other.startswith(one[:length])}


@pytest.mark.parametrize("prefix", ["abc", "ABCD", "xyz0", "%25%25%25%25", "0" * 33])
@pytest.mark.parametrize("collection", ["studies", "trials"])
def test_invalid_id_prefix_is_refused(client: TestClient, collection: str, prefix: str) -> None:
    response = client.get(f"/v1/{collection}?id_prefix={prefix}")

    assert (response.status_code, response.json()["type"]) == (422, "/problems/validation")
    assert response.json()["errors"][0]["pointer"] == "id_prefix"
