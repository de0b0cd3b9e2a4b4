from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

Open = Callable[[], UnitOfWork]
STUDY = {"name": "a study", "architecture": "small", "dataset": "digits", "recipe": "digits-smoke", "trials": 6}
# (r, d, w, accuracy): more resolution helps, as in the paper.
RESULTS = [
    (0.5, 0.5, 0.5, 0.60),
    (0.6, 0.5, 0.8, 0.68),
    (0.75, 1.0, 0.8, 0.75),
    (0.9, 1.0, 1.0, 0.80),
    (1.0, 1.5, 1.2, 0.84),
    (0.5, 1.5, 1.2, 0.66),
]


@pytest.fixture
def small(client: TestClient) -> str:
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    return "small"


@pytest.fixture
def study(client: TestClient, small: str) -> str:
    answer = client.post("/v1/studies", json=STUDY)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.fixture
def observed(client: TestClient, study: str) -> str:
    rows = [dict(zip(("r", "d", "w", "accuracy"), row, strict=True)) for row in RESULTS]
    answer = client.post(f"/v1/studies/{study}/observations", json={"source": "a table", "observations": rows})
    assert (answer.status_code, answer.json()["imported"]) == (201, 6)
    return study


def test_a_registered_architecture_is_listed_and_read(client: TestClient, small: str) -> None:
    listed = {item["name"]: item for item in client.get("/v1/architectures").json()["items"]}

    assert listed["small"]["built_in"] is False
    assert listed["efficientnet_b0"]["flops"] == 385_814_752
    read = client.get("/v1/architectures/small").json()
    assert read["baseline"]["resolution"] == 16
    assert read["rules"]["divisor"] == 4


def test_only_different_content_under_a_name_conflicts(client: TestClient, small: str) -> None:
    assert client.post("/v1/architectures", json=SMALL).status_code == 200
    other = {**SMALL, "baseline": {**SMALL["baseline"], "resolution": 20}}
    assert client.post("/v1/architectures", json=other).status_code == 409
    assert client.post("/v1/architectures", json={**SMALL, "name": "efficientnet_b0"}).status_code == 409


def test_network_unknown_to_timm_is_refused(client: TestClient) -> None:
    stages = [{"block": "ir", "repeats": 1, "channels": 16, "stride": 2} for _ in range(6)]
    broken = {**SMALL, "baseline": {**SMALL["baseline"], "stages": stages}}

    answer = client.post("/v1/architectures", json=broken)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/baseline/stages"


def test_a_trial_is_what_it_trains(client: TestClient, small: str) -> None:
    body = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}

    first = client.post("/v1/trials", json=body)
    again = client.post("/v1/trials", json=body)
    other = client.post("/v1/trials", json={**body, "seed": 1})

    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert first.headers["location"] == f"/v1/trials/{first.json()['id']}"
    assert len(client.get("/v1/trials").json()["items"]) == 2


def test_a_finished_trial_answers_at_once(client: TestClient, small: str, work: Open, settings: Settings) -> None:
    body = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
    trial = client.post("/v1/trials", json=body).json()["id"]
    finish(work, settings, trial, 0.9)

    answer = client.post("/v1/trials", json=body)

    assert (answer.status_code, answer.json()["state"]) == (200, "completed")
    assert answer.json()["result"]["accuracy"] == 0.9


def test_scaling_with_train_enqueues_the_very_network(client: TestClient, small: str) -> None:
    body = {"architecture": "small", "target": {"ratio": 0.5}, "train": {"dataset": "digits"}}

    answer = client.post("/v1/scale", json=body)

    assert answer.status_code == 202
    assert answer.headers["retry-after"]
    trial = client.get(answer.headers["location"]).json()
    assert trial["config"] == answer.json()["config"]
    assert trial["state"] == "queued"


def test_pagination_is_stable_while_rows_are_added(client: TestClient, small: str) -> None:
    def add(seed: int) -> str:
        body = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke", "seed": seed}
        return client.post("/v1/trials", json=body).json()["id"]

    ids = [add(seed) for seed in range(5)]
    first = client.get("/v1/trials", params={"limit": 2}).json()
    add(99)
    second = client.get("/v1/trials", params={"limit": 2, "cursor": first["next"]}).json()
    third = client.get("/v1/trials", params={"limit": 2, "cursor": second["next"]}).json()

    seen = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert seen == ids[::-1]
    assert third["next"] is None


def test_cancelling_queued_trial_twice_conflicts(client: TestClient, small: str) -> None:
    body = {"architecture": "small", "dataset": "digits"}
    trial = client.post("/v1/trials", json=body).json()["id"]

    assert client.post(f"/v1/trials/{trial}/cancel").json()["state"] == "cancelled"
    assert client.post(f"/v1/trials/{trial}/cancel").status_code == 409
    assert client.post("/v1/trials", json=body).json()["id"] != trial


def test_events_are_streamed_from_the_start_and_resumed(
    client: TestClient, small: str, work: Open, settings: Settings
) -> None:
    trial = client.post("/v1/trials", json={"architecture": "small", "dataset": "digits"}).json()["id"]
    finish(work, settings, trial, 0.8)

    whole = client.get(f"/v1/trials/{trial}/events").text
    ids = [line.removeprefix("id: ") for line in whole.splitlines() if line.startswith("id:")]
    rest = client.get(f"/v1/trials/{trial}/events", headers={"Last-Event-ID": ids[0]}).text

    assert [part in whole for part in ('"queued"', '"running"', '"completed"')] == [True] * 3
    assert len(ids) == 3
    assert '"queued"' not in rest
    assert '"completed"' in rest


def test_a_study_enqueues_its_networks_once(client: TestClient, study: str) -> None:
    for _ in range(2):
        started = client.post(f"/v1/studies/{study}/start")
        assert (started.status_code, started.json()["state"]) == (202, "running")

    items = client.get("/v1/trials", params={"study": study}).json()["items"]
    assert len(items) == 6
    assert len({item["flops"] for item in items}) == 6
    assert client.get(f"/v1/studies/{study}").json()["trials"] == {"queued": 6}


def test_shared_trial_outlives_cancellation_of_one_study(
    client: TestClient, study: str, work: Open, settings: Settings
) -> None:
    twin = client.post("/v1/studies", json=STUDY).json()["id"]
    client.post(f"/v1/studies/{study}/start")
    client.post(f"/v1/studies/{twin}/start")
    trial = client.get("/v1/trials", params={"study": twin}).json()["items"][0]["id"]

    cancelled = client.post(f"/v1/studies/{study}/cancel")

    assert cancelled.json()["state"] == "cancelled"
    assert client.get(f"/v1/trials/{trial}").json()["state"] == "queued"
    finish(work, settings, trial, 0.7)
    for each in (study, twin):
        assert len(client.get(f"/v1/studies/{each}/observations").json()["items"]) == 1


def test_empty_space_is_refused_and_not_stored(client: TestClient, small: str) -> None:
    space = {"r": [1, 1], "d": [1, 1], "w": [1, 1], "ratio": [0.1, 0.11]}

    answer = client.post("/v1/studies", json={**STUDY, "space": space})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")
    assert client.get("/v1/studies").json()["items"] == []


def test_observations_are_read_as_json_and_csv(client: TestClient, observed: str) -> None:
    items = client.get(f"/v1/studies/{observed}/observations").json()["items"]
    text = client.get(f"/v1/studies/{observed}/observations", headers={"Accept": "text/csv"}).text

    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["accuracy"]) for row in rows] == [item["accuracy"] for item in items]
    assert items[0]["provenance"] == {"source": "a table"}


def test_the_front_leaves_out_what_another_network_beats(client: TestClient, observed: str) -> None:
    front = client.get(f"/v1/studies/{observed}/front").json()

    assert 0.66 not in [item["accuracy"] for item in front["items"]]
    flops = [item["flops"] for item in front["items"]]
    assert flops == sorted(flops)
    assert front["hypervolume"] > 0
    assert client.get(f"/v1/studies/{observed}/correlations").json()["r"]["spearman"] > 0.8


def test_refit_version_answers_after_activation(client: TestClient, observed: str) -> None:
    def recommended() -> str:
        body = {"architecture": "small", "target": {"ratio": 0.4}, "rule": "tiny_formula"}
        return client.post("/v1/scale", json=body).json()["predictor"]["id"]

    before = recommended()
    fitted = client.post(f"/v1/studies/{observed}/predictors")
    assert fitted.status_code == 201, fitted.text
    assert (recommended(), fitted.json()["version"]) == (before, 1)

    client.post(f"/v1/predictors/{fitted.json()['id']}/activate")
    assert recommended() == fitted.json()["id"]
    second = client.post(f"/v1/studies/{observed}/predictors", json={"activate": True}).json()
    assert (recommended(), second["version"]) == (second["id"], 2)

    client.post(f"/v1/predictors/{fitted.json()['id']}/activate")
    assert recommended() == fitted.json()["id"]
    assert client.get(f"/v1/predictors/{second['id']}").json()["active"] is False


def test_a_predictors_curve_has_bands(client: TestClient) -> None:
    curve = client.get("/v1/predictors/published-tinynets/curve", params={"steps": 7}).json()

    assert len(curve["items"]) == 7
    assert all(point["r_sd"] > 0 and point["d_sd"] > 0 for point in curve["items"])


def test_too_few_observations_are_a_clear_conflict(client: TestClient, study: str) -> None:
    assert client.get(f"/v1/studies/{study}/front").json()["items"] == []
    answer = client.post(f"/v1/studies/{study}/predictors")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")


@pytest.mark.parametrize(
    "name",
    [
        "accuracy-against-multipliers",
        "accuracy-against-flops",
        "accuracy-against-latency",
        "multipliers-against-flops",
        "predictor-curve",
        "predicted-against-measured",
    ],
)
def test_figures_are_available_as_svg_and_png(client: TestClient, observed: str, name: str) -> None:
    svg = client.get(f"/v1/studies/{observed}/figures/{name}.svg")
    png = client.get(f"/v1/studies/{observed}/figures/{name}.png")

    assert (svg.headers["content-type"], svg.content[:5]) == ("image/svg+xml", b"<?xml")
    assert (png.headers["content-type"], png.content[1:4]) == ("image/png", b"PNG")


def test_a_folder_of_images_becomes_a_data_set(client: TestClient, settings: Settings) -> None:
    for name in ("cats", "dogs"):
        folder = settings.data_dir / "datasets" / "pets" / name
        folder.mkdir(parents=True)
        for n in range(5):
            Image.new("RGB", (8, 8), (n, len(name), 0)).save(folder / f"{n}.png")

    answer = client.post("/v1/datasets", json={"name": "pets", "folder": "pets"})

    assert (answer.status_code, answer.json()["num_classes"]) == (201, 2)
    assert "pets" in [item["name"] for item in client.get("/v1/datasets").json()["items"]]
    assert client.post("/v1/datasets", json={"name": "pets", "folder": "pets"}).status_code == 200


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        ({}, "0 class folders; at least 2"),
        ({"cats": 5}, "1 class folders; at least 2"),
        ({"cats": 5, "dogs": 0}, "Class 'dogs' of 'pets' has 0 images"),
        ({"cats": 5, "dogs": -1}, "'dogs/0.png' of 'pets' cannot be read as an image"),
    ],
    ids=["empty", "one class", "a class without images", "no image"],
)
def test_useless_image_folder_is_refused(
    client: TestClient, settings: Settings, classes: dict[str, int], reason: str
) -> None:
    (settings.data_dir / "datasets" / "pets").mkdir(parents=True)
    for name, images in classes.items():
        folder = settings.data_dir / "datasets" / "pets" / name
        folder.mkdir()
        for n in range(5 if images else 0):
            Image.new("L", (8, 8)).save(folder / f"{n}.png")
        if images == -1:
            (folder / "0.png").write_text("no image")

    answer = client.post("/v1/datasets", json={"name": "pets", "folder": "pets"})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")
    assert reason in answer.json()["detail"]
    assert "pets" not in [item["name"] for item in client.get("/v1/datasets").json()["items"]]


@pytest.mark.parametrize("folder", ["../..", "/etc", "missing", "."])
def test_missing_or_outside_folder_is_refused(client: TestClient, folder: str) -> None:
    answer = client.post("/v1/datasets", json={"name": "pets", "folder": folder})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")


def test_readiness_names_missing_parts_unlike_liveness(client: TestClient) -> None:
    ready = client.get("/readyz")

    assert (ready.status_code, ready.json()["workers"]) == (503, 0)
    assert ready.json()["database"] == ready.json()["broker"] == "ok"
    assert client.get("/healthz").json() == {"status": "ok"}


def test_playground_loads_only_own_files(client: TestClient) -> None:
    page = client.get("/docs").text

    assert "http" not in page.replace("https://fastapi.tiangolo.com/img/favicon.png", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"/assets/{asset}" in page
        assert client.get(f"/assets/{asset}").status_code == 200


def finish(work: Open, settings: Settings, trial: str, accuracy: float) -> None:
    """Do what a worker does, but for the training."""
    claim = claim_trial(work, trial, settings)
    with work() as unit:
        assert lifecycle.complete(unit, claim, TrialResult(accuracy, 1.0, {}))


def test_readiness_can_be_limited_to_parts(client: TestClient) -> None:
    answer = client.get("/readyz?needs=database&needs=broker")

    assert (answer.status_code, answer.json()["ready"], answer.json()["workers"]) == (200, True, 0)
    assert client.get("/readyz?needs=workers").status_code == 503
    assert client.get("/readyz?needs=luck").status_code == 422
