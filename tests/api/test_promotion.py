"""Whose predictor answers: a study's answers for that study, and for everybody only if an admin lets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.core.scopes import Scope
from app.core.settings import Settings
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.services.auth import keys
from tests.support import process_changes

Open = Callable[[], UnitOfWork]
Headers = dict[str, str]

QUESTION = {"architecture": "efficientnet_b0", "target": {"ratio": 0.258}}
INVENTED = [
    {"r": 0.4, "d": 3.0, "w": round(0.2 + 0.05 * i, 3), "accuracy": round(0.5 + 0.02 * i, 3)} for i in range(20)
]
LOOSE = {"min_points": 3, "min_coverage": 0, "max_error": 1_000_000}


@pytest.fixture
def key(work: Open) -> Callable[[str, Scope], Headers]:
    def key(name: str, scope: Scope) -> Headers:
        with work() as unit:
            return {"Authorization": f"Bearer {keys.create(unit, name, scope, None)[1]}"}

    return key


@pytest.fixture
def trainer(key: Callable[[str, Scope], Headers]) -> Headers:
    return key("trainer", "train")


@pytest.fixture
def admin(key: Callable[[str, Scope], Headers]) -> Headers:
    return key("operator", "admin")


def post(client: TestClient, path: str, headers: Headers, body: Any = None) -> Any:
    answer = client.post(path, json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


def study_of(client: TestClient, headers: Headers, **more: Any) -> str:
    """Create a study of invented results and return its path."""
    body = {"name": "invented", "architecture": "efficientnet_b0", "dataset": "digits", "trials": 1, **more}
    path = f"/v1/studies/{post(client, '/v1/studies', headers, body)['id']}"
    post(client, f"{path}/observations", headers, {"source": "invented", "observations": INVENTED})
    return path


def process_all_changes(settings: Settings) -> None:
    while process_changes(settings):
        pass


def test_train_key_does_not_change_what_everybody_is_answered(
    client: TestClient, settings: Settings, trainer: Headers, admin: Headers
) -> None:
    before = post(client, "/v1/scale", trainer, QUESTION)
    study = study_of(client, trainer)

    for activate in (True, "gate"):
        refused = client.post(f"{study}/predictors", json={"activate": activate}, headers=trainer)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
        assert "`admin`" in refused.json()["detail"]
    assert post(client, f"{study}/predictors", trainer, {})["active"] is False
    process_all_changes(settings)

    for question in (QUESTION, {**QUESTION, "dataset": "digits"}):
        assert post(client, "/v1/scale", admin, question)["predictor"] == before["predictor"]
    assert post(client, "/v1/scale", admin, QUESTION)["multipliers"] == before["multipliers"]


def test_only_admin_lets_the_predictors_of_a_study_be_promoted(
    client: TestClient, settings: Settings, trainer: Headers, admin: Headers
) -> None:
    promoting = {"name": "p", "architecture": "efficientnet_b0", "dataset": "digits", "refit": {"promote": True}}
    assert client.post("/v1/studies", json=promoting, headers=trainer).status_code == 403
    study = study_of(client, trainer)
    assert client.patch(study, json={"promote": True}, headers=trainer).status_code == 403

    permitted = client.patch(study, json={"promote": True}, headers=admin).json()
    assert permitted["options"]["refit"]["promote"] is True
    assert client.post(f"{study}/predictors", json={"activate": "gate"}, headers=trainer).status_code == 201
    assert client.post(f"{study}/predictors", json={"activate": True}, headers=trainer).status_code == 403
    assert client.patch(study, json={"promote": False}, headers=trainer).status_code == 200


def test_a_study_may_not_loosen_the_gate(client: TestClient, admin: Headers) -> None:
    body = {"name": "loose", "architecture": "efficientnet_b0", "dataset": "digits"}

    for name, bound in LOOSE.items():
        refused = client.post("/v1/studies", json={**body, "refit": {"gate": {name: bound}}}, headers=admin)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == f"/refit/gate/{name}"
    strict = {"min_points": 12, "min_coverage": 0.8, "max_error": 1}
    stored = post(client, "/v1/studies", admin, {**body, "refit": {"gate": strict}})
    assert stored["options"]["refit"]["gate"] == strict


def test_looser_bounds_that_were_stored_before_do_not_count(client: TestClient, admin: Headers, work: Open) -> None:
    study = study_of(client, admin)
    id = study.rpartition("/")[2]
    with work() as unit:
        options = unit.session.get_one(StudyRow, id).options.to_json()
        options["refit"]["gate"] = LOOSE
        table = StudyRow.metadata.tables["studies"]
        unit.session.execute(update(table).where(table.c.id == id).values(options=_Plain(options)))
        unit.commit()

    gate = client.get(study, headers=admin).json()["options"]["refit"]["gate"]

    assert gate == {"min_points": 6, "min_coverage": 0.7, "max_error": 1.1}


class _Plain:
    """JSON as a value of the column, which encodes with `to_json`."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def to_json(self) -> Any:
        return self._plain


def test_scale_is_answered_by_the_newest_predictor_of_the_study(
    client: TestClient, trainer: Headers, admin: Headers
) -> None:
    study = study_of(client, trainer)
    id = study.rpartition("/")[2]
    missing = client.post("/v1/scale", json={**QUESTION, "study": id}, headers=admin)
    assert missing.status_code == 404

    for _ in range(2):
        fitted = post(client, f"{study}/predictors", trainer, {})["id"]
        answers = [
            post(client, "/v1/scale", admin, {**QUESTION, "study": id})["predictor"],
            post(client, "/v1/scale/family", admin, {
                "architecture": "efficientnet_b0", "targets": [{"ratio": 0.258}], "study": id,
            })["items"][0]["predictor"],
            post(client, "/v1/compare", admin, {**QUESTION, "study": id})["items"][0]["answer"]["predictor"],
        ]  # fmt: skip
        assert {(answer["id"], answer["study_id"], answer["dataset"]) for answer in answers} == {(fitted, id, "digits")}
    both = {**QUESTION, "study": id, "predictor": fitted}
    assert client.post("/v1/scale", json=both, headers=admin).status_code == 422


def test_a_study_counts_the_classes_of_its_data_set(client: TestClient, admin: Headers) -> None:
    study = study_of(client, admin)
    post(client, f"{study}/predictors", admin, {})
    question = {**QUESTION, "study": study.rpartition("/")[2]}

    def classes(**more: Any) -> int:
        one = post(client, "/v1/scale", admin, {**question, **more})
        family = {"architecture": "efficientnet_b0", "targets": [QUESTION["target"]], "study": question["study"]}
        several = post(client, "/v1/scale/family", admin, {**family, **more})
        compared = post(client, "/v1/compare", admin, {**question, **more})
        (found,) = {one["config"]["num_classes"], several["num_classes"], compared["num_classes"]}
        return int(found)

    assert (classes(), classes(dataset="typefaces"), classes(num_classes=7)) == (10, 47, 7)


def test_a_predictor_for_another_data_set_does_not_become_the_default(client: TestClient, admin: Headers) -> None:
    before = post(client, "/v1/scale", admin, QUESTION)["predictor"]["id"]
    fitted = post(client, f"{study_of(client, admin)}/predictors", admin, {"activate": True})["id"]

    assert post(client, "/v1/scale", admin, QUESTION)["predictor"]["id"] == before
    assert post(client, "/v1/scale", admin, {**QUESTION, "dataset": "digits"})["predictor"]["id"] == fitted

    post(client, f"/v1/predictors/{before}/deactivate", admin)
    assert post(client, "/v1/scale", admin, QUESTION)["predictor"]["id"] == fitted


def test_without_keys_one_call_makes_a_predictor_the_default(client: TestClient) -> None:
    fitted = post(client, f"{study_of(client, {})}/predictors", {}, {"activate": True})

    assert fitted["active"] is True
    answer = post(client, "/v1/scale", {}, {**QUESTION, "dataset": "digits"})
    assert answer["predictor"]["id"] == fitted["id"]
