"""The data set that is drawn from fonts, over HTTP: where it is settled, and what is said where fonts lack."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import typefaces
from app.db.tables import DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.services import datasets
from app.settings import Settings
from tests.fonts import FAMILIES, font, install
from tests.support import SMALL
from worker.typefaces import drawn

TRIAL = {"architecture": "small", "dataset": "typefaces", "recipe": "digits-smoke"}


@pytest.fixture
def fonts(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = install(tmp_path / "fonts")
    monkeypatch.setattr("app.typefaces.font_folders", lambda: [folder])
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    return folder


def listed(client: TestClient, name: str = "typefaces") -> dict[str, Any]:
    [found] = [item for item in client.get("/v1/datasets").json()["items"] if item["name"] == name]
    return found


def trial(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/trials", json={**TRIAL, **body})
    assert answer.status_code in (201, 202), answer.text
    return answer.json()


def test_it_is_listed_before_anybody_asks_for_it(client: TestClient, fonts: Path) -> None:
    found = listed(client)

    assert (found["num_classes"], found["channels"], found["native_px"]) == (47, 1, 64)
    assert (found["digest"], found["train_images"], found["missing"]) == ("", None, None)
    assert "rendered, not photographed" in found["description"]


def test_the_first_trial_settles_it(
    client: TestClient, fonts: Path, settings: Settings, work: Callable[[], UnitOfWork]
) -> None:
    asked = trial(client)

    digest = typefaces.installed().digest
    assert asked["dataset_digest"] == listed(client)["digest"] == digest
    with work() as unit:  # as a worker looks for it
        assert datasets.find(unit, "typefaces").digest == digest
    drawn(typefaces.installed(), settings.data_dir)
    assert (listed(client)["train_images"], listed(client)["test_images"]) == (20 * 47, 8 * 47)


def test_scaling_and_training_in_one_settles_it(client: TestClient, fonts: Path) -> None:
    train = {"dataset": "typefaces", "recipe": "digits-smoke"}
    answer = client.post("/v1/scale", json={"architecture": "small", "target": {"ratio": 0.5}, "train": train})

    assert answer.status_code == 202, answer.text
    assert listed(client)["digest"] == typefaces.installed().digest


def test_settled_it_stays_and_another_name_takes_the_fonts_of_its_time(client: TestClient, fonts: Path) -> None:
    before = trial(client)["dataset_digest"]
    (fonts / "more.ttf").write_bytes(font("Acacia"))

    assert trial(client, seed=1)["dataset_digest"] == before
    assert "install the same on all machines" in listed(client)["missing"] and len(listed(client)["missing"]) < 350
    other = trial(client, dataset="typefaces-2")["dataset_digest"]
    assert other == listed(client, "typefaces-2")["digest"] != before
    assert listed(client, "typefaces-2")["missing"] is None


def test_a_study_on_it_has_its_digest(client: TestClient, fonts: Path) -> None:
    body = {"name": "letters", **TRIAL, "trials": 2}
    study = client.post("/v1/studies", json=body)
    assert study.status_code == 201, study.text
    (fonts / "more.ttf").write_bytes(font("Acacia"))

    assert client.post(f"/v1/studies/{study.json()['id']}/start").status_code in (200, 202)

    items = client.get("/v1/trials", params={"study_id": study.json()["id"]}).json()["items"]
    digests = [client.get(f"/v1/trials/{item['id']}").json()["dataset_digest"] for item in items]
    assert digests == [listed(client)["digest"]] * 2
    assert listed(client)["digest"] != typefaces.installed().digest


@pytest.mark.parametrize("families", [[], FAMILIES[:5]])
def test_without_fonts_it_is_said_how_to_get_some_and_nothing_is_queued(
    client: TestClient, fonts: Path, families: list[str]
) -> None:
    shutil.rmtree(fonts)
    install(fonts, families)

    answer = client.post("/v1/trials", json=TRIAL)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")
    for said in (answer.json()["detail"], listed(client)["missing"]):
        assert f"of {len(families)} families are too few: `python -m worker.fetch typefaces` " in said
        assert len(said) < 240
    assert client.get("/v1/trials").json()["items"] == []


def test_who_settles_it_second_takes_what_the_first_has_settled(work: Callable[[], UnitOfWork]) -> None:
    for digest in ("the first's", "the second's"):
        with work() as unit:
            row = unit.datasets.add_unless_there(DatasetRow(name="typefaces", spec={"digest": digest}))
            unit.commit()

    assert row.spec == {"digest": "the first's"}


@pytest.mark.parametrize("name", ["typefaces", "typefaces-2"])
def test_its_names_are_not_for_folders(client: TestClient, fonts: Path, settings: Settings, name: str) -> None:
    (settings.data_dir / "datasets" / "pets").mkdir(parents=True)

    answer = client.post("/v1/datasets", json={"name": name, "folder": "pets"})

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
