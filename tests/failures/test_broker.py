"""A service with a Redis broker: one that refuses or falls silent, and the messages that pass through it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue

from app.jobs.queue import QUEUE, TRAIN
from tests.failures.gate import Gate
from tests.failures.service import Service, running, wait_for
from tests.leaks import shared_ports
from tests.support import SMALL

TRAINING = {"architecture": SMALL, "dataset": "digits", "recipe": "digits-smoke"}


@pytest.fixture(scope="module")
def gate(redis: str) -> Iterator[Gate]:
    """A relay in front of the broker."""
    port = int(redis.rpartition(":")[2].split("/")[0])
    gate = Gate("127.0.0.1", port)
    ports = {gate.port, port} - shared_ports
    shared_ports.update(ports)
    yield gate
    shared_ports.difference_update(ports)
    gate.close()


@pytest.fixture(scope="module")
def service(gate: Gate, redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    broker = f"redis://127.0.0.1:{gate.port}/{redis.rpartition('/')[2]}"
    settings = {"RDW_WORKERS": "1", "RDW_DATABASE_URL": "", "RDW_BROKER_URL": broker, "RDW_LOG_FORMAT": "json"}
    with running(tmp_path_factory.mktemp("broker"), **settings) as service:
        yield service


@pytest.mark.parametrize(
    ("fault", "seeds"), [("silence", range(4)), pytest.param("shut", range(4, 8), marks=pytest.mark.exhaustive)]
)
def test_requests_do_not_wait_for_broker(fault: str, seeds: range, service: Service, gate: Gate) -> None:
    getattr(gate, fault)()
    trials = [service.post("/v1/trials", {**TRAINING, "seed": seed})["id"] for seed in seeds]
    assert service.client.get("/readyz").json()["broker"] == "does not answer"

    gate.open()

    for trial in trials:
        assert service.wait_for_trial(trial)["state"] == "completed"
    wait_for(lambda: service.client.get("/readyz").status_code == 200, service.log)


def test_request_id_is_logged_by_api_and_worker(service: Service) -> None:
    trial = service.post("/v1/trials", {**TRAINING, "seed": 10}, {"X-Request-ID": "a-request"})["id"]
    service.wait_for_trial(trial)

    def messages(**ids: str) -> list[str]:
        # Celery prints lines of its own when a worker begins.
        lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
        return [line["message"] for line in lines if ids.items() <= line.items()]

    assert any(message.startswith(f"trial {trial} is queued") for message in messages(request_id="a-request"))
    of_worker = messages(request_id="a-request", trial_id=trial)
    assert any("attempt 1" in message for message in of_worker)
    wait_for(lambda: any("completed" in line for line in messages(request_id="a-request", trial_id=trial)), service.log)


class FileWriter:
    """Unpickled, it writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_worker_refuses_pickled_messages(service: Service, redis: str, tmp_path: Path) -> None:
    file = tmp_path / "evil"
    body = pickle.dumps(([FileWriter(file)], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}))
    pickle.loads(body)  # noqa: S301 (it would work)
    assert file.exists()
    file.unlink()

    with Connection(redis) as connection:
        connection.Producer().publish(
            body,
            exchange=Exchange(QUEUE, type="direct"),
            routing_key=QUEUE,
            declare=[Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE)],
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": TRAIN, "id": "1", "lang": "py"},
        )
    trial = service.post("/v1/trials", {**TRAINING, "seed": 20})

    assert service.wait_for_trial(trial["id"])["state"] == "completed"
    assert len(service.children("celery")) == 1
    assert not file.exists()
    assert "pickle" in service.log()
