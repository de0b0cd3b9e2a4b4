"""Observations from outside: brought in, read by page, taken back."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db.unit_of_work import UnitOfWork
from app.scaling.architecture import Architecture
from app.scaling.cost_table import CostTable, cost_table
from app.services import observations
from app.services.advance import advance
from app.settings import Settings
from tests.support import SMALL

ROWS = [
    {"r": 0.6, "d": 0.5, "w": 0.5, "accuracy": 0.50, "seconds": 3.5},
    {"r": 0.8, "d": 0.8, "w": 0.7, "accuracy": 0.60, "seconds": 4.0},
    {"r": 0.9, "d": 1.0, "w": 0.9, "accuracy": 0.66, "seconds": 5.0},
    {"r": 1.0, "d": 1.0, "w": 1.2, "accuracy": 0.70, "seconds": 6.0},
    {"r": 1.2, "d": 1.2, "w": 1.4, "accuracy": 0.72, "seconds": 7.0},
]
CSV = "r,d,w,accuracy,seconds\n" + "".join(f"{','.join(map(str, row.values()))}\n" for row in ROWS)


@pytest.fixture
def study(client: TestClient) -> str:
    space = {"ratio": [0.05, 2]}
    body = {"name": "a study", "architecture": SMALL, "dataset": "digits", "trials": 3, "space": space}
    return str(client.post("/v1/studies", json=body).json()["id"])


@pytest.fixture
def import_csv(client: TestClient, study: str) -> Callable[[str | bytes], Any]:
    def post(text: str | bytes) -> Any:
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        return client.post(f"/v1/studies/{study}/observations?source=a+table", content=text, headers=headers)

    return post


def items(client: TestClient, study: str, **query: Any) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/studies/{study}/observations", params=query).json()["items"])


def test_json_and_csv_bring_in_the_same(client: TestClient, study: str, import_csv: Callable[..., Any]) -> None:
    as_json = client.post(f"/v1/studies/{study}/observations", json={"source": "a table", "observations": ROWS})
    as_csv = import_csv("\ufeff" + CSV.replace("\n", "\r\n"))

    assert (as_json.json(), as_csv.json()) == ({"imported": 5}, {"imported": 5}), as_csv.text
    found = [{k: v for k, v in item.items() if k not in ("id", "created_at")} for item in items(client, study)]
    assert found[:5] == found[5:]
    assert found[0]["provenance"] == {"source": "a table"}
    assert (found[0]["role"], found[0]["seconds"]) == ("import", 3.5)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("0.5,0.5,0.5,1.5,1", "/line 4/accuracy"),
        ("0.5,0.5,zero,0.5,1", "/line 4/w"),
        ("nan,0.5,0.5,0.5,1", "/line 4/r"),
        (",0.5,0.5,0.5,1", "/line 4/r"),
    ],
)
def test_an_error_names_its_line_and_nothing_is_brought_in(
    client: TestClient, study: str, import_csv: Callable[..., Any], line: str, where: str
) -> None:
    header, first, *rest = CSV.splitlines()

    answer = import_csv("\n".join([header, first, "", line, *rest]))

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [where]
    assert items(client, study) == []


def test_while_an_import_is_made_ready_others_write(
    client: TestClient, study: str, work: Callable[[], UnitOfWork], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What many cost takes seconds: by then nobody is to wait for the database."""
    waited: list[float] = []

    def tabled(architecture: Architecture) -> CostTable:
        began = time.monotonic()
        with work() as another:
            another.count("lease_losses")
            another.commit()
        waited.append(time.monotonic() - began)
        return cost_table(architecture)

    monkeypatch.setattr(observations, "cost_table", tabled)
    answer = client.post(f"/v1/studies/{study}/observations", json={"observations": ROWS})

    assert (answer.status_code, answer.json()) == (201, {"imported": 5}), answer.text
    assert max(waited) < 5


def test_what_is_too_small_is_found_before_anybody_waits(client: TestClient, settings: Settings) -> None:
    """Refused without a writing transaction, while another has one."""
    body = {"name": "a study", "architecture": "convnext_atto", "dataset": "digits", "trials": 3}
    study = client.post("/v1/studies", json=body).json()["id"]
    with UnitOfWork(settings.database) as another:
        another.counters.add_to({"lease_losses": 1})
        answer = client.post(f"/v1/studies/{study}/observations", json={"observations": [{**ROWS[3], "r": 0.1}]})

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/observations/0/r"


@pytest.mark.parametrize(
    "text",
    ["", "r,d,accuracy\n1,1,0.5\n", "r,d,w,accuracy,colour\n1,1,1,0.5,red\n", "r,d,w,accuracy\n1,1,0.5\n", b"\xff\xfe"],
    ids=["empty", "no w", "unknown column", "too few fields", "no UTF-8"],
)
def test_what_is_no_table_of_observations_is_refused(import_csv: Callable[..., Any], text: str | bytes) -> None:
    answer = import_csv(text)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")


def test_one_wrong_item_of_json_is_pointed_at(client: TestClient, study: str) -> None:
    wrong = {"observations": [*ROWS, {**ROWS[0], "r": 0}]}

    answer = client.post(f"/v1/studies/{study}/observations", json=wrong)

    assert [error["pointer"] for error in answer.json()["errors"]] == ["/observations/5/r"]
    assert items(client, study) == []


def test_they_are_read_by_page_while_others_come(client: TestClient, study: str) -> None:
    body = {"observations": ROWS}
    client.post(f"/v1/studies/{study}/observations", json=body)
    first = client.get(f"/v1/studies/{study}/observations", params={"limit": 3}).json()
    client.post(f"/v1/studies/{study}/observations", json=body)

    rest = client.get(f"/v1/studies/{study}/observations", params={"cursor": first["next"]}).json()

    assert [item["accuracy"] for item in first["items"] + rest["items"]] == [row["accuracy"] for row in ROWS] * 2
    assert rest["next"] is None
    assert client.get(f"/v1/studies/{study}/observations", params={"cursor": "x"}).status_code == 422


def test_one_that_is_taken_back_counts_no_more_and_stays_readable(client: TestClient, study: str) -> None:
    client.post(f"/v1/studies/{study}/observations", json={"observations": ROWS})
    best = items(client, study)[-1]["id"]

    answer = client.post(f"/v1/studies/{study}/observations/{best}/retract", json={"reason": "wrong labels"})

    assert answer.status_code == 200
    assert items(client, study)[-1]["retraction"] == "wrong labels"
    assert 0.72 not in [item["accuracy"] for item in client.get(f"/v1/studies/{study}/front").json()["items"]]
    text = client.get(f"/v1/studies/{study}/observations", headers={"Accept": "text/csv"}).text
    assert [row["retraction"] for row in csv.DictReader(io.StringIO(text))] == [""] * 4 + ["wrong labels"]


def test_it_is_taken_back_once_and_for_one_reason(client: TestClient, study: str) -> None:
    client.post(f"/v1/studies/{study}/observations", json={"observations": ROWS})
    path = f"/v1/studies/{study}/observations/{items(client, study)[0]['id']}/retract"

    first = client.post(path, json={"reason": "wrong labels"}).json()

    assert client.post(path, json={"reason": "wrong labels"}).json() == first
    assert client.post(path, json={"reason": "another"}).status_code == 409
    assert client.post(path, json={"reason": ""}).status_code == 422
    assert client.post(f"/v1/studies/{study}/observations/999999/retract", json={"reason": "x"}).status_code == 404


def test_a_predictor_that_stood_on_it_is_fitted_anew_and_gives_way(
    client: TestClient, study: str, settings: Settings, work: Callable[[], UnitOfWork]
) -> None:
    rows = [{"r": 0.5 + 0.1 * i, "d": 0.6 + 0.1 * i, "w": 0.4 + 0.1 * i, "accuracy": 0.5 + 0.03 * i} for i in range(8)]
    bad = {"r": 0.5, "d": 0.5, "w": 0.45, "accuracy": 0.99}
    client.post(f"/v1/studies/{study}/observations", json={"observations": [*rows, bad]})
    before = client.post(f"/v1/studies/{study}/predictors", json={"activate": True}).json()

    wrong = items(client, study)[-1]["id"]
    client.post(f"/v1/studies/{study}/observations/{wrong}/retract", json={"reason": "the label was the input"})
    while advance(settings, lambda ids: None):
        pass

    newest = client.get("/v1/predictors", params={"architecture": "small"}).json()["items"][0]
    assert (newest["version"], newest["active"]) == (before["version"] + 1, True), newest["gate"]
    assert "the label was the input" in newest["provenance"]
    points = client.get(f"/v1/predictors/{newest['id']}").json()["points"]
    assert 0.99 not in [point["accuracy"] for point in points]


def test_what_fills_up_a_short_front_is_marked(client: TestClient) -> None:
    study = client.post("/v1/studies", json={"name": "a", "architecture": "tinynet_e", "dataset": "digits"}).json()[
        "id"
    ]
    widths = [(0.5, 0.9), (0.6, 0.8), (0.7, 0.7)]
    rows = [{"r": 1, "d": 1, "w": w, "accuracy": accuracy} for w, accuracy in widths]
    client.post(f"/v1/studies/{study}/observations", json={"observations": rows})

    front = client.get(f"/v1/studies/{study}/front").json()["items"]

    assert [(network["accuracy"], network["dominated"]) for network in front] == [
        (0.9, False),
        (0.8, True),
        (0.7, True),
    ]
