"""The data set `typefaces` over HTTP: its digest is fixed at its first use, and missing fonts are reported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.data import fonts as typefaces
from app.db.tables import DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.services.catalog import datasets
from tests.fonts import FAMILIES, font, install
from tests.support import SMALL
from worker.data.glyphs import render_typefaces

TRIAL = {"architecture": "small", "dataset": "typefaces", "recipe": "digits-smoke"}


@pytest.fixture
def fonts(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = install(tmp_path / "fonts")
    monkeypatch.setattr("app.data.fonts.font_folders", lambda: [folder])
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    return folder


def listed(client: TestClient, name: str = "typefaces") -> dict[str, Any]:
    [found] = [item for item in client.get("/v1/datasets").json()["items"] if item["name"] == name]
    return found


def trial(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/trials", json={**TRIAL, **body})
    assert answer.status_code in (201, 202), answer.text
    return answer.json()


def test_typefaces_are_listed_before_first_use(client: TestClient, fonts: Path) -> None:
    found = listed(client)

    assert (found["num_classes"], found["channels"], found["native_px"]) == (47, 1, 64)
    assert (found["digest"], found["train_images"], found["missing"]) == ("", None, None)
    assert "rendered, not photographed" in found["description"]


def test_the_first_trial_settles_it(
    client: TestClient, fonts: Path, settings: Settings, work: Callable[[], UnitOfWork]
) -> None:
    asked = trial(client)

    digest = typefaces.find_installed().digest
    assert asked["dataset_digest"] == listed(client)["digest"] == digest
    with work() as unit:  # as a worker looks for it
        assert datasets.find(unit, "typefaces").digest == digest
    render_typefaces(typefaces.find_installed(), settings.data_dir)
    assert (listed(client)["train_images"], listed(client)["test_images"]) == (20 * 47, 8 * 47)


def test_scaling_with_training_fixes_the_digest(client: TestClient, fonts: Path) -> None:
    train = {"dataset": "typefaces", "recipe": "digits-smoke"}
    answer = client.post("/v1/scale", json={"architecture": "small", "target": {"ratio": 0.5}, "train": train})

    assert answer.status_code == 202, answer.text
    assert listed(client)["digest"] == typefaces.find_installed().digest


def test_fonts_of_a_name_are_fixed_once(client: TestClient, fonts: Path) -> None:
    before = trial(client)["dataset_digest"]
    (fonts / "more.ttf").write_bytes(font("Acacia"))

    assert trial(client, seed=1)["dataset_digest"] == before
    assert (
        "install the same fonts on all machines" in listed(client)["missing"] and len(listed(client)["missing"]) < 350
    )
    other = trial(client, dataset="typefaces-2")["dataset_digest"]
    assert other == listed(client, "typefaces-2")["digest"] != before
    assert listed(client, "typefaces-2")["missing"] is None


def test_rendered_typefaces_need_no_fonts(client: TestClient, fonts: Path, settings: Settings) -> None:
    trial(client)
    render_typefaces(typefaces.find_installed(), settings.data_dir)
    shutil.rmtree(fonts)

    assert listed(client)["missing"] is None
    trial(client, seed=1)


def test_trials_of_study_have_digest_of_data_set(client: TestClient, fonts: Path) -> None:
    body = {"name": "letters", **TRIAL, "trials": 2}
    study = client.post("/v1/studies", json=body)
    assert study.status_code == 201, study.text
    (fonts / "more.ttf").write_bytes(font("Acacia"))

    assert client.post(f"/v1/studies/{study.json()['id']}/start").status_code in (200, 202)

    items = client.get("/v1/trials", params={"study_id": study.json()["id"]}).json()["items"]
    digests = [client.get(f"/v1/trials/{item['id']}").json()["dataset_digest"] for item in items]
    assert digests == [listed(client)["digest"]] * 2
    assert listed(client)["digest"] != typefaces.find_installed().digest


@pytest.mark.parametrize("families", [[], FAMILIES[:5]])
def test_missing_fonts_are_explained_and_nothing_is_queued(
    client: TestClient, fonts: Path, families: list[str]
) -> None:
    shutil.rmtree(fonts)
    install(fonts, families)

    answer = client.post("/v1/trials", json=TRIAL)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")
    for said in (answer.json()["detail"], listed(client)["missing"]):
        assert f"of {len(families)} families are too few: `python -m worker.data.fetch typefaces` " in said
        assert len(said) < 240
    assert client.get("/v1/trials").json()["items"] == []


def test_concurrent_first_uses_agree_on_fonts(work: Callable[[], UnitOfWork]) -> None:
    for digest in ("the first's", "the second's"):
        with work() as unit:
            row = unit.datasets.get_or_add(DatasetRow(name="typefaces", spec={"digest": digest}))
            unit.commit()

    assert row.spec == {"digest": "the first's"}


@pytest.mark.parametrize("name", ["typefaces", "typefaces-2"])
def test_its_names_are_not_for_folders(client: TestClient, fonts: Path, settings: Settings, name: str) -> None:
    (settings.data_dir / "datasets" / "pets").mkdir(parents=True)

    answer = client.post("/v1/datasets", json={"name": name, "folder": "pets"})

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
