"""The start order does not matter: the service waits for its database and broker, and reports that."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.failures.gate import Gate
from tests.failures.service import Service, wait_for
from tests.support import SMALL


@pytest.mark.exhaustive
def test_service_waits_for_its_servers(tmp_path: Path, postgres: str, redis: str) -> None:
    where, _, name = postgres.rpartition("/")
    before, _, port = where.rpartition(":")
    database = Gate("127.0.0.1", int(port))
    redis_port, redis_name = redis.rpartition(":")[2].split("/")
    broker = Gate("127.0.0.1", int(redis_port))
    database.shut()
    broker.shut()
    settings = {
        "RDW_WORKERS": "1",
        "RDW_DATABASE_URL": f"{before}:{database.port}/{name}",
        "RDW_BROKER_URL": f"redis://127.0.0.1:{broker.port}/{redis_name}",
    }
    service = Service(tmp_path, **settings)
    try:
        wait_for(lambda: "does not answer" in service.log(), service.log)
        assert "RDW_DATABASE_URL" in service.log()

        database.open()
        wait_for(lambda: _ready(service).get("database") == "ok", service.log)
        assert _ready(service)["broker"] == "does not answer"
        trial = service.post("/v1/trials", {"architecture": SMALL, "dataset": "digits", "recipe": "digits-smoke"})["id"]
        broker.open()

        assert service.wait_for_trial(trial)["state"] == "completed"
    finally:
        service.stop()
        database.close()
        broker.close()


def _ready(service: Service) -> dict[str, str]:
    try:
        return dict(service.client.get("/readyz").json())
    except httpx.TransportError:  # nobody listens yet
        return {}
