"""A name that a release gives to a built-in baseline: the registered baseline that had it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from app.db.tables import ArchitectureRow, FormerNameRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.predictors.store import store_built_in
from tests.support import LocalClient

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], Any]


@pytest.fixture
def serve(empty_database: str, tmp_path: Path) -> Open:
    @contextmanager
    def serve() -> Iterator[TestClient]:
        upgrade(empty_database)
        with UnitOfWork(empty_database) as work:
            store_built_in(work)
        settings = Settings(data_dir=tmp_path, database_url=empty_database, broker_url="", solvers=0)
        with LocalClient(create_app(settings), raise_server_exceptions=False) as client:
            yield client

    return serve


def create_study_and_predictor(client: TestClient, baseline: str = "small-mbconv") -> tuple[str, str]:
    study = {"name": "mine", "architecture": baseline, "dataset": "digits", "trials": 1}
    id = client.post("/v1/studies", json=study).json()["id"]
    rows = [{"r": c**0.2, "d": c**0.3, "w": c**0.3, "accuracy": 0.7 + c / 10} for c in (0.2, 0.3, 0.5, 0.7)]
    client.post(f"/v1/studies/{id}/observations", json={"source": "a test", "observations": rows})
    answer = client.post(f"/v1/studies/{id}/predictors", json={"activate": True})
    assert answer.status_code == 201, answer.text
    return id, answer.json()["id"]


def names(client: TestClient) -> list[str]:
    return [item["name"] for item in client.get("/v1/architectures").json()["items"]]


def scale(client: TestClient, architecture: str) -> dict[str, Any]:
    body = {"architecture": architecture, "target": {"ratio": 0.5}, "dataset": "digits", "rule": "tiny_formula"}
    return dict(client.post("/v1/scale", json=body).json())


@pytest.mark.parametrize(("name", "revision_before"), [("small-mbconv", "0018"), ("small-regnet", "0019")])
def test_registered_baseline_that_is_built_in_now_keeps_studies_and_predictors(
    empty_database: str, serve: Open, name: str, revision_before: str
) -> None:
    with serve() as client:
        study, predictor = create_study_and_predictor(client, name)
    downgrade(empty_database, revision_before)
    with engine_for(empty_database).connect() as connection:
        assert connection.scalars(sa.select(ArchitectureRow.name)).all() == [name]

    with serve() as client:
        assert names(client).count(name) == 1
        assert client.get(f"/v1/studies/{study}").json()["architecture"] == name
        assert client.post(f"/v1/studies/{study}/start").status_code == 202
        assert scale(client, name)["predictor"]["id"] == predictor


def test_another_baseline_of_that_name_is_renamed_with_its_studies_and_predictors(
    empty_database: str, serve: Open
) -> None:
    with serve() as client:
        study, predictor = create_study_and_predictor(client)
        former_flops = client.get("/v1/architectures/small-mbconv").json()["flops"]
    downgrade(empty_database, "0018")
    with engine_for(empty_database).begin() as connection:  # what the user had registered is another network
        for column in (ArchitectureRow.__table__.c.spec, StudyRow.__table__.c.spec):
            spec = connection.execute(sa.select(sa.type_coerce(column, sa.JSON))).scalar_one()
            spec["baseline"]["num_classes"] = 10
            connection.execute(sa.update(column.table).values({column: sa.type_coerce(spec, sa.JSON)}))
        connection.execute(
            sa.insert(FormerNameRow).values(kind="architecture", name="earlier", successor="small-mbconv")
        )

    with serve() as client:
        assert client.get("/v1/architectures/small-mbconv").json()["flops"] == former_flops
        renamed = client.get("/v1/architectures/small-mbconv-2").json()
        assert (renamed["built_in"], renamed["baseline"]["num_classes"]) == (False, 10)
        assert client.get("/v1/architectures/earlier").json()["name"] == "small-mbconv-2"
        assert client.get(f"/v1/studies/{study}").json()["architecture"] == "small-mbconv-2"
        assert client.post(f"/v1/studies/{study}/start").status_code == 202
        assert scale(client, "small-mbconv-2")["predictor"]["id"] == predictor
        assert scale(client, "small-mbconv")["predictor"]["id"] == "small-mbconv.typefaces.recorded"
