"""Requests that take long: they run in other processes, are bounded, and count by their cost."""

from __future__ import annotations

import hashlib
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.http.app import create_app
from tests.leaks import shared_ports
from tests.support import LocalClient, find_free_port

KEY = {"Authorization": "Bearer one"}
DIGEST = hashlib.sha256(b"one").hexdigest()
EXHAUSTIVE = {"mode": "at_most", "tolerance": 0, "movement": {"resolution": 512, "d": 2}}
QUICK = {"architecture": "efficientnet_b0", "target": {"ratio": 0.5}}

TWENTY = [{"ratio": 0.3 + i / 50} for i in range(20)]


def baseline(stages: int) -> dict[str, Any]:
    listed = [
        {"block": "ir", "repeats": 1 + i % 4, "channels": 128 + 13 * i, "expansion": 6, "se_ratio": 0.25, "kernel": 3,
         "stride": 2 if i in (3, 9, 20) else 1}
        for i in range(stages)
    ]  # fmt: skip
    network = {"family": "efficientnet", "resolution": 224, "stem": {"channels": 32}, "head": {"channels": 1280}}
    return {"baseline": {**network, "stages": listed}, "rules": {"divisor": 8}}


HEAVY = {
    "architecture": baseline(40),
    "targets": [{"ratio": 0.3 + 0.001 * i} for i in range(100)],
    "budget": EXHAUSTIVE,
}


@pytest.fixture
def pooled(settings: Settings) -> Iterator[TestClient]:
    """A client of an API with processes for searches that take long."""
    _of_others.clear()
    _of_others.update(pool_processes())
    with LocalClient(create_app(settings.model_copy(update={"solvers": 2}))) as client:
        yield client


_of_others: set[int] = set()  # the processes of pools of services that several tests share


def pool_processes() -> set[int]:
    return {child.pid for child in psutil.Process().children() if "app.core.pool_process" in child.cmdline()}


def processes() -> set[int]:
    """The processes of the API's pool."""
    return pool_processes() - _of_others


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/scale", {**QUICK, "budget": {"tolerance": 0}}),
        ("/v1/scale", {**QUICK, "constraints": {"max_params": 3_000_000, "channel_divisor": 16}}),
        ("/v1/scale/family", {"architecture": "efficientnet_b0", "targets": TWENTY}),
        ("/v1/compare", {**QUICK, "constraints": {"max_activation_bytes": 2_000_000}}),
        ("/v1/compare", {"architecture": baseline(30), "target": {"ratio": 0.4}}),
    ],
)  # fmt: skip
def test_answers_of_another_process_are_the_same(
    pooled: TestClient, client: TestClient, path: str, body: dict[str, Any]
) -> None:
    pooled_response, response = pooled.post(path, json=body), client.post(path, json=body)

    assert pooled_response.status_code == response.status_code == 200
    assert pooled_response.json() == response.json()
    assert len(processes()) == 1


def test_problem_of_another_process_is_the_same(pooled: TestClient, client: TestClient) -> None:
    body = {**QUICK, "constraints": {"max_params": 1000}}
    pooled_response, response = pooled.post("/v1/scale", json=body), client.post("/v1/scale", json=body)

    assert pooled_response.status_code == response.status_code == 422
    assert pooled_response.json() == response.json()
    assert response.json()["type"] == "/problems/target-out-of-range"


def test_quick_requests_start_no_process(pooled: TestClient) -> None:
    for _ in range(2):
        assert pooled.post("/v1/scale", json=QUICK).status_code == 200
    targets = [{"ratio": c} for c in (0.873, 0.520, 0.258, 0.134, 0.063)]
    assert pooled.post("/v1/scale/family", json={**QUICK, "target": None, "targets": targets}).status_code in (200, 422)
    assert pooled.post("/v1/cost", json={"architecture": "efficientnet_b0"}).status_code == 200
    assert not processes()


def test_target_far_from_the_data_does_not_wait_for_a_process(pooled: TestClient, client: TestClient) -> None:
    body = {**QUICK, "target": {"ratio": 0.025}, "include": ["comparison"]}
    answers = [one.post("/v1/scale", json=body) for one in (pooled, client)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert not processes()


def test_many_inline_baselines_leave_no_tables_in_the_api(pooled: TestClient) -> None:
    for stages in range(20, 24):
        body = {"architecture": baseline(stages), "target": {"ratio": 0.3}}
        assert pooled.post("/v1/scale", json=body).status_code == 200
    metrics = pooled.get("/metrics").text

    [grids] = [
        line.split()[1] for line in metrics.splitlines() if line.startswith('rdw_cache_bytes{cache="width_grids"}')
    ]
    assert float(grids) <= 256 * 2**20
    assert 'rdw_searches_waiting{lane="long"} 0.0' in metrics


def test_long_search_is_cut_and_counts_by_its_cost(settings: Settings) -> None:
    update = {"solvers": 1, "api_keys": DIGEST, "rate_limit": 6000}
    with TestClient(create_app(settings.model_copy(update=update)), headers=KEY) as client:
        light = client.post("/v1/scale", json=QUICK)
        heavy = client.post("/v1/scale/family", json=HEAVY)

    assert light.headers["ratelimit"].startswith('"requests";r=999;')
    assert heavy.status_code == 200
    assert all(item["search_truncated"] for item in heavy.json()["items"])
    remaining = int(heavy.headers["ratelimit"].partition("r=")[2].partition(";")[0])
    assert remaining <= 1000 - 400  # five seconds are 500 requests, or the window has ended meanwhile


def test_search_never_costs_more_than_the_whole_quota(settings: Settings) -> None:
    update = {"solvers": 1, "api_keys": DIGEST, "rate_limit": 12}
    with TestClient(create_app(settings.model_copy(update=update)), headers=KEY) as client:
        heavy = client.post("/v1/scale", json={**QUICK, "architecture": "efficientnet_b7", "budget": EXHAUSTIVE})
        refused = client.get("/v1/queue")

    assert heavy.status_code == 200
    assert heavy.headers["ratelimit"].startswith('"requests";r=0;')
    assert refused.status_code == 429


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    port = find_free_port()
    config = uvicorn.Config(create_app(settings), port=port, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        shared_ports.add(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        shared_ports.discard(port)
        server.should_exit = True
        thread.join()


def waiting(url: str) -> float:
    lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith('rdw_searches_waiting{lane="long"}'))


def test_searches_beyond_the_queue_are_refused_and_those_of_gone_clients_end(settings: Settings) -> None:
    settings = settings.model_copy(update={"solvers": 1, "metrics_open": True})
    with serving(settings) as url, ExitStack() as stack:
        body, port = json.dumps(HEAVY).encode(), int(url.rpartition(":")[2])
        head = "POST /v1/scale/family HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}"
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(9)]
        for client in clients:
            client.sendall(head.encode() + b"\r\n\r\n" + body)
        while waiting(url) < 8:
            answered, _, _ = select.select(clients, [], [], 0.05)
            assert not answered, "a search was refused"

        refused = httpx.post(f"{url}/v1/scale/family", json=HEAVY, timeout=60)
        light = httpx.post(f"{url}/v1/scale", json=QUICK, timeout=60)

        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/busy")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert light.status_code == 200

        for client in clients:
            client.close()
        while waiting(url) > 0:
            time.sleep(0.05)
        again = httpx.post(f"{url}/v1/scale", json={**QUICK, "budget": EXHAUSTIVE}, timeout=120)
        assert again.status_code == 200


def test_views_and_proposals_of_a_large_study_are_computed_in_another_process(pooled: TestClient) -> None:
    study = {"name": "large", "architecture": "efficientnet_b0", "dataset": "digits", "trials": 1, "space": {},
             "refit": {"every": None}}  # fmt: skip
    path = f"/v1/studies/{pooled.post('/v1/studies', json=study).raise_for_status().json()['id']}"
    rows = [
        {"r": 0.5 + i / 5000, "d": 1.0, "w": 0.5 + i % 7 / 10, "accuracy": 0.3 + i % 101 / 200} for i in range(1000)
    ]
    views = ("/front", "/correlations", "/figures/accuracy-against-flops.csv")
    pooled.post(f"{path}/observations", json={"source": "test", "observations": rows[:250]}).raise_for_status()
    small = [pooled.get(f"{path}{view}").raise_for_status() for view in views]
    pooled.post(f"{path}/ask", json={"client": "a"}).raise_for_status()
    assert not processes()
    for part in (rows[250:600], rows[600:]):
        pooled.post(f"{path}/observations", json={"source": "test", "observations": part}).raise_for_status()
    asked = pooled.post(f"{path}/ask", json={"client": "b", "n": 2}).raise_for_status()
    assert processes()
    large = [pooled.get(f"{path}{view}").raise_for_status() for view in views]

    assert all(item["predicted_accuracy"] for item in asked.json()["items"])
    assert [response.headers["content-type"] for response in small] == [r.headers["content-type"] for r in large]
    assert large[0].json()["hypervolume"] >= small[0].json()["hypervolume"] > 0
    assert len(large[2].text.splitlines()) > len(small[2].text.splitlines())


def test_large_imports_and_refits_are_computed_in_another_process(pooled: TestClient, client: TestClient) -> None:
    study = {"name": "large", "architecture": "efficientnet_b0", "dataset": "digits", "trials": 1, "space": {}}
    rows = [
        {"r": 0.5 + i / 5000, "d": 1.0, "w": 0.5 + i % 7 / 10, "accuracy": 0.3 + i % 101 / 200} for i in range(1200)
    ]
    table = "\n".join(["r,d,w,accuracy,note", *(f"{','.join(map(str, row.values()))},{'x' * 40}" for row in rows)])
    too_small, csv = {"r": 0.01, "d": 1, "w": 1, "accuracy": 0.5}, {"Content-Type": "text/csv"}
    bodies: list[dict[str, Any]] = [
        {"json": {"source": "test", "observations": rows}},
        {"json": {"source": "test", "observations": rows}},
        {"content": table, "headers": csv},
        {"content": f"{table}\n1,2,wide,0.5,", "headers": csv},
        {"json": {"source": "test", "observations": [*rows, too_small]}},
    ]
    answers = []
    for one in (client, pooled):
        path = f"/v1/studies/{one.post('/v1/studies', json=study).raise_for_status().json()['id']}"
        key = {"Idempotency-Key": path}
        responses = [one.post(f"{path}/observations", **{"headers": key, **body}) for body in bodies]
        responses.append(one.post(f"/v1/studies/{'0' * 32}/observations", **bodies[0]))
        responses.append(one.post(f"{path}/predictors", json={}))
        answers.append([(r.status_code, *map(r.json().get, ("imported", "duplicates", "errors"))) for r in responses])
        assert responses[-1].headers["location"].startswith("/v1/predictors/")

    assert [status for status, *_ in answers[1]] == [201, 201, 201, 422, 422, 404, 201]
    assert [imported for _, imported, *_ in answers[1][:3]] == [1200, 1200, 0]
    assert answers[0] == answers[1]
    assert processes()


def test_large_export_is_made_in_another_process_and_is_whole(pooled: TestClient, client: TestClient) -> None:
    study = {"name": "large", "architecture": "efficientnet_b0", "dataset": "digits", "trials": 1, "space": {},
             "refit": {"every": None}}  # fmt: skip
    rows = [f"{0.5 + i / 10_000},1,{0.5 + i % 7 / 10},0.5" for i in range(5000)]
    tables = []
    for one in (pooled, client):
        path = f"/v1/studies/{one.post('/v1/studies', json=study).raise_for_status().json()['id']}/observations"
        csv = {"Content-Type": "text/csv"}
        one.post(path, content="\n".join(["r,d,w,accuracy", *rows]), headers=csv).raise_for_status()
        tables.append(one.get(path, headers={"Accept": "text/csv"}).raise_for_status().text.splitlines())
        [first] = one.get(f"{path}?limit=1").raise_for_status().json()["items"]
        assert tables[-1][1].startswith(f"{first['id']},,import,0.5,1.0,0.5,")

    assert processes()
    assert [len(table) for table in tables] == [5001, 5001]
    assert [line.split(",")[3:13] for line in tables[0]] == [line.split(",")[3:13] for line in tables[1]]
    assert len({line.split(",")[0] for line in tables[0]}) == 5001
