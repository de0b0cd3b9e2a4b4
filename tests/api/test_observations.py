"""Observations are imported, read by page and retracted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.db.unit_of_work import UnitOfWork
from app.scaling.network import Architecture
from app.scaling.solver.width_grid import WidthGrid, get_width_grid
from app.services import observations
from tests.support import SMALL, process_changes

pytestmark = pytest.mark.databases("sqlite", "postgresql")

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


def create_study(api: TestClient) -> str:
    space = {"ratio": [0.05, 2]}
    body = {"name": "another", "architecture": SMALL, "dataset": "digits", "trials": 3, "space": space}
    return str(api.post("/v1/studies", json=body).json()["id"])


def contents(api: TestClient, study: str) -> list[dict[str, Any]]:
    own = ("id", "created_at", "provenance")
    return [{k: v for k, v in item.items() if k not in own} for item in items(api, study)]


def test_json_and_csv_bring_in_the_same(client: TestClient, study: str, import_csv: Callable[..., Any]) -> None:
    other = create_study(client)
    as_json = client.post(f"/v1/studies/{other}/observations", json={"source": "a table", "observations": ROWS})
    as_csv = import_csv("\ufeff" + CSV.replace("\n", "\r\n"))

    assert as_json.json() == as_csv.json(), as_csv.text
    assert as_csv.json() == {"imported": 5, "duplicates": 0, "skipped_rows": 0, "ignored_columns": []}
    assert contents(client, other) == contents(client, study)
    found = items(client, study)[0]
    assert (found["role"], found["seconds"], found["provenance"]) == ("import", 3.5, {"source": "a table"})


def test_imported_twice_nothing_is_added(client: TestClient, study: str, import_csv: Callable[..., Any]) -> None:
    """Two trainings with the same result in one table are two; the same table again has no more of them."""
    twice = CSV + ",".join(map(str, ROWS[0].values())) + "\n"
    import_csv(CSV)

    assert import_csv(CSV).json()["duplicates"] == 5
    assert import_csv(twice).json()["imported"] == 1
    assert client.post(f"/v1/studies/{study}/observations", json={"observations": ROWS}).json()["imported"] == 0
    assert len(items(client, study)) == 6


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_what_is_exported_can_be_imported(kind: str, client: TestClient, study: str) -> None:
    """With what was taken back, the role of each network, and without those that have no multipliers."""
    rows = [*ROWS, {**ROWS[0], "accuracy": 0.99, "role": "compound"}]
    client.post(f"/v1/studies/{study}/observations", json={"observations": rows})
    wrong = items(client, study)[1]["id"]
    client.post(f"/v1/studies/{study}/observations/{wrong}/retract", json={"reason": 'wrong, "labels"'})
    other = create_study(client)

    def import_into(target: str) -> Any:
        if kind == "json":
            exported = items(client, study)
            exported.append({**exported[0], "r": None, "d": None, "w": None})
            return client.post(f"/v1/studies/{target}/observations", json={"observations": exported})
        text = client.get(f"/v1/studies/{study}/observations", headers={"Accept": "text/csv"}).content
        return client.post(f"/v1/studies/{target}/observations", content=text, headers={"Content-Type": "text/csv"})

    answer = import_into(other)
    assert answer.json()["imported"] == 6, answer.text
    assert contents(client, other) == contents(client, study)
    assert import_into(study).json()["imported"] == 0
    front, again = (client.get(f"/v1/studies/{one}/front").json() for one in (study, other))
    assert front == again


REASONS = ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1dcmd", "'=1", "''-x", "'quoted'", " spaced ", "NA", "it's", '="a","b"']


def test_exported_text_is_no_formula_and_is_imported_unchanged(client: TestClient, study: str) -> None:
    rows = [{**ROWS[i % 5], "accuracy": 0.5 + i / 100} for i in range(len(REASONS))]
    client.post(f"/v1/studies/{study}/observations", json={"observations": rows})
    for item, reason in zip(items(client, study), REASONS, strict=True):
        answer = client.post(f"/v1/studies/{study}/observations/{item['id']}/retract", json={"reason": reason})
        assert answer.status_code == 200, answer.text

    text = client.get(f"/v1/studies/{study}/observations", headers={"Accept": "text/csv"}).text

    exported = list(csv.DictReader(io.StringIO(text)))
    assert [row for row in exported if row["retraction_reason"][:1] in "=+-@\uff1d"] == []
    assert [float(row["accuracy"]) for row in exported] == [row["accuracy"] for row in rows]
    other = create_study(client)
    client.post(f"/v1/studies/{other}/observations", content=text.encode(), headers={"Content-Type": "text/csv"})
    assert [item["retraction_reason"] for item in items(client, other)] == REASONS
    assert contents(client, other) == contents(client, study)


def test_accuracies_in_percent_are_refused(client: TestClient, study: str, import_csv: Callable[..., Any]) -> None:
    table = import_csv("r,d,w,top1\n1,1,1,0.5\n0.9,1,1,86.5\n")
    body = client.post(f"/v1/studies/{study}/observations", json={"observations": [{**ROWS[0], "accuracy": 86.5}]})

    assert [error["pointer"] for error in table.json()["errors"]] == ["/line 3/top1"]
    assert [error["pointer"] for error in body.json()["errors"]] == ["/observations/0/accuracy"]
    assert "percent" in table.json()["detail"] and "percent" in body.json()["detail"]
    assert items(client, study) == []


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("0.5,0.5,0.5,1.5,1", "/line 4/accuracy"),
        ("0.5,0.5,zero,0.5,1", "/line 4/w"),
        ("nan,0.5,0.5,0.5,1", "/line 4/r"),
        (",0.5,0.5,0.5,1", "/line 4/r"),
    ],
)
def test_import_error_names_line_and_imports_nothing(
    client: TestClient, study: str, import_csv: Callable[..., Any], line: str, where: str
) -> None:
    header, first, *rest = CSV.splitlines()

    answer = import_csv("\n".join([header, first, "", line, *rest]))

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [where]
    assert items(client, study) == []


def test_import_preparation_does_not_block_writes(
    client: TestClient, study: str, work: Callable[[], UnitOfWork], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What many cost takes seconds: nobody waits for the database until then."""
    written: list[str] = []

    def tabled(architecture: Architecture) -> WidthGrid:
        with work() as another:
            another.count("expired_leases")  # SQLite refuses it while somebody else has begun to write
            another.commit()
        written.append(architecture.name)
        return get_width_grid(architecture)

    monkeypatch.setattr(observations, "get_width_grid", tabled)
    answer = client.post(f"/v1/studies/{study}/observations", json={"observations": ROWS})

    assert (answer.status_code, answer.json()["imported"]) == (201, 5), answer.text
    assert written


def test_too_small_import_is_refused_without_waiting(client: TestClient, settings: Settings) -> None:
    """Refused without a writing transaction, while another has one."""
    body = {"name": "a study", "architecture": "convnext_atto", "dataset": "digits", "trials": 3}
    study = client.post("/v1/studies", json=body).json()["id"]
    with UnitOfWork(settings.database) as another:
        another.counters.increment({"expired_leases": 1})
        answer = client.post(f"/v1/studies/{study}/observations", json={"observations": [{**ROWS[3], "r": 0.1}]})

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/observations/0/r"


@pytest.mark.parametrize(
    "text",
    ["", "r,d,accuracy\n1,1,0.5\n", "r,d,w,accuracy\n1,1,0.5\n", b"\x00\x01\x02"],
    ids=["empty", "no w", "too few fields", "no text"],
)
def test_what_is_no_table_of_observations_is_refused(import_csv: Callable[..., Any], text: str | bytes) -> None:
    answer = import_csv(text)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")


def test_one_wrong_item_of_json_is_pointed_at(client: TestClient, study: str) -> None:
    wrong = {"observations": [*ROWS, {**ROWS[0], "r": 0}]}

    answer = client.post(f"/v1/studies/{study}/observations", json=wrong)

    assert [error["pointer"] for error in answer.json()["errors"]] == ["/observations/5/r"]
    assert items(client, study) == []


def test_pages_stay_stable_while_rows_are_added(client: TestClient, study: str) -> None:
    body = {"observations": ROWS}
    client.post(f"/v1/studies/{study}/observations", json=body)
    first = client.get(f"/v1/studies/{study}/observations", params={"limit": 3}).json()
    later = [{**row, "seconds": 9} for row in ROWS]
    client.post(f"/v1/studies/{study}/observations", json={"observations": later})

    rest = client.get(f"/v1/studies/{study}/observations", params={"cursor": first["next"]}).json()

    assert [item["accuracy"] for item in first["items"] + rest["items"]] == [row["accuracy"] for row in ROWS] * 2
    assert rest["next"] is None
    assert client.get(f"/v1/studies/{study}/observations", params={"cursor": "x"}).status_code == 422


def test_retracted_observation_is_readable_but_not_counted(client: TestClient, study: str) -> None:
    client.post(f"/v1/studies/{study}/observations", json={"observations": ROWS})
    best = items(client, study)[-1]["id"]

    answer = client.post(f"/v1/studies/{study}/observations/{best}/retract", json={"reason": "wrong labels"})

    assert answer.status_code == 200
    assert items(client, study)[-1]["retraction_reason"] == "wrong labels"
    assert 0.72 not in [item["accuracy"] for item in client.get(f"/v1/studies/{study}/front").json()["items"]]
    text = client.get(f"/v1/studies/{study}/observations", headers={"Accept": "text/csv"}).text
    assert [row["retraction_reason"] for row in csv.DictReader(io.StringIO(text))] == [""] * 4 + ["wrong labels"]


def test_observation_is_retracted_once_with_one_reason(client: TestClient, study: str) -> None:
    client.post(f"/v1/studies/{study}/observations", json={"observations": ROWS})
    path = f"/v1/studies/{study}/observations/{items(client, study)[0]['id']}/retract"

    first = client.post(path, json={"reason": "wrong labels"}).json()

    assert client.post(path, json={"reason": "wrong labels"}).json() == first
    assert client.post(path, json={"reason": "another"}).status_code == 409
    assert client.post(path, json={"reason": ""}).status_code == 422
    assert client.post(f"/v1/studies/{study}/observations/999999/retract", json={"reason": "x"}).status_code == 404


def test_predictor_of_retracted_observation_is_refitted_and_replaced(
    client: TestClient, study: str, settings: Settings, work: Callable[[], UnitOfWork]
) -> None:
    client.patch(f"/v1/studies/{study}", json={"promote": True})
    rows = [{"r": 0.5 + 0.1 * i, "d": 0.6 + 0.1 * i, "w": 0.4 + 0.1 * i, "accuracy": 0.5 + 0.03 * i} for i in range(8)]
    bad = {"r": 0.5, "d": 0.5, "w": 0.45, "accuracy": 0.99}
    client.post(f"/v1/studies/{study}/observations", json={"observations": [*rows, bad]})
    before = client.post(f"/v1/studies/{study}/predictors", json={"activate": True}).json()

    wrong = items(client, study)[-1]["id"]
    client.post(f"/v1/studies/{study}/observations/{wrong}/retract", json={"reason": "the label was the input"})
    while process_changes(settings):
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
