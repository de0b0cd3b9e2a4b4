"""The metrics for Prometheus, and the dashboard for Grafana, which uses no others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.core.settings import Settings
from app.core.trials import TrainingProgress
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.trials import lifecycle, reconciliation
from tests.support import SMALL, LocalClient, claim_trial, expire_lease, find_free_port

Open = Callable[[], UnitOfWork]
TRIAL = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
BOARD = Path(__file__).parent.parent.parent / "docs" / "grafana.json"


@pytest.fixture
def trial(client: TestClient) -> str:
    client.post("/v1/architectures", json=SMALL)
    return client.post("/v1/trials", json=TRIAL).json()["id"]


def scraped(client: TestClient) -> dict[tuple[str, ...], float]:
    """The samples by name and the values of their labels."""
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_requests_are_counted_by_route_method_and_status(client: TestClient, trial: str) -> None:
    for _ in range(3):
        client.get(f"/v1/trials/{trial}")
    client.get(f"/v1/trials/{'0' * 32}")
    client.post(f"/v1/trials/{trial}/retry")

    seen = scraped(client)

    assert seen["rdw_http_requests_total", "GET", "/v1/trials/{id}", "200"] == 3
    assert seen["rdw_http_requests_total", "GET", "/v1/trials/{id}", "404"] == 1
    assert seen["rdw_http_requests_total", "POST", "/v1/trials/{id}/retry", "409"] == 1
    assert seen["rdw_http_request_seconds_count", "GET", "/v1/trials/{id}"] == 4
    assert seen["rdw_http_request_seconds_sum", "GET", "/v1/trials/{id}"] > 0


def test_invented_paths_create_no_metric_series(client: TestClient) -> None:
    for made_up in ("one", "two"):
        client.request(made_up.upper(), f"/{made_up}")

    assert scraped(client)["rdw_http_requests_total", "other", "none", "404"] == 2


def test_unexpected_error_is_counted_with_request_id(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("app.http.routers.workers.queue.queue_status", lambda *_: broken())

    answer = client.get("/v1/queue", headers={"X-Request-ID": "the-one"})

    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "the-one")
    assert scraped(client)["rdw_http_requests_total", "GET", "/v1/queue", "500"] == 1


def test_every_replica_reports_worker_metrics_from_sql(
    client: TestClient, trial: str, work: Open, settings: Settings
) -> None:
    other = client.post("/v1/trials", json={**TRIAL, "seed": 1}).json()["id"]
    claim_trial(work, trial, settings)
    expire_lease(work, trial)
    with work() as unit:
        unit.workers.record_heartbeat("busy", 1, trial)
        unit.workers.record_heartbeat("idle", 1, None)
        assert reconciliation.reconcile(unit, settings) == 1
    claim = claim_trial(work, trial, settings)
    for seconds in (None, 2.5, 1.5):
        with work() as unit:
            lifecycle.report(unit, claim, TrainingProgress(1), seconds)
    client.post(f"/v1/trials/{other}/cancel")

    with LocalClient(create_app(settings)) as replica:
        seen, there = scraped(client), scraped(replica)

    assert seen["rdw_database_up",] == 1
    states = {key[1]: value for key, value in seen.items() if key[0] == "rdw_trials"}
    assert states == {"queued": 0, "running": 1, "completed": 0, "failed": 0, "cancelled": 1}
    assert (seen["rdw_workers", "training"], seen["rdw_workers", "idle"]) == (1, 1)
    assert seen["rdw_trial_attempts_total",] == 2
    assert seen["rdw_expired_leases_total",] == 1
    assert seen["rdw_redeliveries_total",] == 1
    assert (seen["rdw_epoch_seconds_count",], seen["rdw_epoch_seconds_sum",]) == (2, 4)
    assert all(there[key] == seen[key] for key in seen if not key[0].startswith("rdw_http"))


def test_what_is_rolled_back_is_not_counted(client: TestClient, work: Open) -> None:
    with work() as unit:
        unit.count("expired_leases")

    assert scraped(client)["rdw_expired_leases_total",] == 0


def test_open_event_streams_are_counted(client: TestClient, trial: str) -> None:
    listeners = client.app.state.event_poller  # type: ignore[attr-defined]

    async def listening() -> float:
        with listeners.subscribe(trial, 0, ended=False):
            return client.app.state.metrics.text().count(b"rdw_event_streams 1.0")  # type: ignore[attr-defined]

    assert client.portal is not None
    assert client.portal.call(listening) == 1
    assert scraped(client)["rdw_event_streams",] == 0


def test_without_the_database_the_rest_is_still_there(tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{find_free_port()}/nothing"
    settings = Settings(data_dir=tmp_path, database_url=away, broker_url="", metrics_open=True)
    client = LocalClient(create_app(settings))
    client.get("/healthz")

    seen = scraped(client)

    assert seen["rdw_database_up",] == 0
    assert seen["rdw_http_requests_total", "GET", "/healthz", "200"] == 1
    assert not any(key[0] == "rdw_trials" for key in seen)


def test_dashboard_queries_use_existing_metrics_and_labels(client: TestClient, trial: str) -> None:
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    samples = [sample for family in families for sample in family.samples]
    there = {sample.name: set(sample.labels) for sample in samples}
    board: dict[str, Any] = json.loads(BOARD.read_text())

    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]

    assert len(asked) >= 9
    for expression in asked:
        names = re.findall(r"\brdw_\w+", expression)
        assert names and set(names) <= set(there), expression
        by = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        chosen = set(re.findall(r"[{,](\w+)=~?\"", expression))
        assert by | chosen <= set.union(*(there[name] for name in names)), expression
    for state in re.findall(r"state=~\"([^\"]+)\"", " ".join(asked)):
        assert set(state.split("|")) <= {sample.labels["state"] for sample in samples if sample.name == "rdw_trials"}
