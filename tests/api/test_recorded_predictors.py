"""The predictors of recorded studies, which a new service has."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db.migrate import upgrade
from app.db.tables import FormerNameRow
from app.db.unit_of_work import UnitOfWork
from app.reproduce.design import small_mbconv
from app.reproduce.recording import to_observation
from app.reproduce.records import find_files, read_records
from app.scaling.predictors.built_in import RECORDED, built_in_predictors
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.surrogate import point_features
from app.services.predictors import store
from tests import fonts

pytestmark = pytest.mark.databases("sqlite", "postgresql")

BENCH = Path(__file__).parents[2] / "bench"
RECORDS = BENCH / "recorded" / "experiment"
BASELINE, SHIPPED = "small-mbconv", "small-mbconv.typefaces.recorded"


def scale(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/scale", json={"architecture": BASELINE, "target": {"ratio": 0.3}, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def create_study(client: TestClient, **body: Any) -> str:
    study = {"name": "own", "architecture": BASELINE, "dataset": "typefaces", "trials": 1, **body}
    answer = client.post("/v1/studies", json=study)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def fit_own(client: TestClient, study: str) -> dict[str, Any]:
    """Import the networks of one recorded study, refit and activate."""
    (path,) = RECORDS.glob("small-mbconv.typefaces.*")
    recorded = [to_observation(record) for record in read_records([path]).studies if record.study == 1]
    client.post(f"/v1/studies/{study}/observations", json={"source": "a test", "observations": recorded})
    return dict(client.post(f"/v1/studies/{study}/predictors", json={"activate": True}).json())


def test_the_predictor_of_the_data_set_answers(client: TestClient) -> None:
    answer = scale(client, dataset="fashion-mnist")

    assert answer["rule"] == "surrogate"
    assert answer["predictor"]["id"] == "small-mbconv.fashion-mnist.recorded"
    assert 0.7 < answer["predicted_accuracy"]["mean"] < 0.9
    assert answer["warnings"] == []


@pytest.mark.parametrize("body", [{}, {"dataset": "typefaces"}, {"rule": "surrogate"}])
def test_new_service_answers_from_recorded_studies(client: TestClient, body: dict[str, Any]) -> None:
    answer = scale(client, **body)

    assert answer["rule"] == "surrogate"
    assert answer["predictor"]["id"] == SHIPPED
    assert "3 recorded random studies" in answer["predictor"]["provenance"]
    assert answer["predicted_accuracy"]["dataset"] == "typefaces"
    assert 0.7 < answer["predicted_accuracy"]["mean"] < 0.85
    assert answer["warnings"] == []


def test_residual_baseline_is_answered_from_its_own_studies(client: TestClient) -> None:
    answer = scale(client, architecture="small-regnet")

    assert answer["rule"] == "surrogate"
    assert answer["predictor"]["id"] == "small-regnet.typefaces.recorded"
    assert answer["warnings"] == []


def test_recorded_predictors_have_passed_the_gate_and_cannot_be_changed(client: TestClient) -> None:
    items = {item["id"]: item for item in client.get("/v1/predictors").json()["items"]}

    assert items.keys() == built_in_predictors().keys()
    for id, item in items.items():
        assert (item["active"], item["study_id"], item["version"]) == (True, None, 1)
        assert id == "published-tinynets" or item["gate"]["promoted"]
        assert client.patch(f"/v1/predictors/{id}", json={"name": "mine"}).status_code == 409
        assert client.delete(f"/v1/predictors/{id}", params={"force": True}).status_code == 409


def test_own_study_gets_the_next_version_which_can_be_rolled_back(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fonts.install(tmp_path / "fonts")
    monkeypatch.setattr("app.data.fonts.font_folders", lambda: [folder])
    own = fit_own(client, create_study(client))
    assert own["version"] > 1  # the service may have refitted it before
    assert own["id"] == f"small-mbconv.typefaces.v{own['version']}"
    assert scale(client)["predictor"]["id"] == own["id"]

    assert client.post(f"/v1/predictors/{SHIPPED}/activate").status_code == 200
    assert scale(client)["predictor"]["id"] == SHIPPED

    client.post(f"/v1/predictors/{own['id']}/activate")
    client.post(f"/v1/predictors/{own['id']}/deactivate")
    assert scale(client)["predictor"]["id"] == SHIPPED
    assert scale(client, dataset="typefaces")["predictor"]["id"] == SHIPPED

    client.post(f"/v1/predictors/{own['id']}/activate")
    client.delete(f"/v1/predictors/{own['id']}", params={"force": True})
    assert scale(client, dataset="typefaces")["predictor"]["id"] == SHIPPED


def test_shipped_predictor_leaves_the_active_version_of_a_user(empty_database: str) -> None:
    upgrade(empty_database)
    with UnitOfWork(empty_database) as work:
        predictor = built_in_predictors()["published-tinynets"].predictor
        own = store.add_version(
            work, predictor, architecture=BASELINE, dataset="typefaces", provenance="own", active=True
        )
        work.commit()
        store.store_built_in(work)
        store.store_built_in(work)

        shipped = store.find(work, SHIPPED)
        assert (own.active, shipped.active, shipped.version) == (True, False, 2)
        assert store.resolve(work, BASELINE, "typefaces", None).id == own.id


def test_predictor_that_was_deleted_under_an_earlier_release_is_not_stored_again(empty_database: str) -> None:
    upgrade(empty_database)
    with UnitOfWork(empty_database) as work:
        work.session.add(FormerNameRow(kind="predictor", name=SHIPPED, successor=None))
        store.store_built_in(work)

        assert work.predictors.get(SHIPPED) is None
        assert store.are_built_in_stored(work)


def test_files_of_the_package_are_what_the_script_fits() -> None:
    script = runpy.run_path(str(BENCH / "recorded_predictors.py"))
    fitted = [json.loads(json.dumps(script["fit"](path))) for path in find_files(RECORDS)]
    passed = {script["file_name"](one): one for one in fitted if one["gate"]["promoted"]}

    assert passed.keys() == {path.name for path in RECORDED.iterdir()}
    for name, expected in passed.items():
        shipped = json.loads((RECORDED / name).read_text())
        for part in ("architecture", "dataset", "provenance"):
            assert shipped[part] == expected[part]
        for one, other in zip(predictions(shipped), predictions(expected), strict=True):
            # The optimizer of the hyperparameters ends at other last digits on other processors.
            assert one == pytest.approx(other, rel=1e-3)


def predictions(content: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Yield the points of a file's predictor, those of its surrogate, and what both predict."""
    predictor = Predictor.from_json(content["predictor"])
    assert predictor.surrogate is not None
    yield from predictor.curve(0.1, 1.0, 9)
    points = predictor.surrogate.points
    means, sds = predictor.surrogate.predict(point_features(points))
    for point, mean, sd in zip(points, means, sds, strict=True):
        yield {"r": point.r, "d": point.d, "w": point.w, "measured": point.accuracy, "mean": mean, "sd": sd}


def test_baseline_of_the_experiment_is_the_built_in_one(client: TestClient) -> None:
    registered = client.post("/v1/architectures", json=small_mbconv(1))
    coloured = client.post("/v1/architectures", json=small_mbconv(3))

    assert (registered.status_code, registered.json()["built_in"]) == (200, True)
    assert (registered.json()["flops"], registered.json()["params"]) == (3_011_712, 436_623)
    assert (coloured.status_code, coloured.json()["name"]) == (201, "small-mbconv-rgb")
    assert coloured.json()["baseline"]["in_chans"] == 3
