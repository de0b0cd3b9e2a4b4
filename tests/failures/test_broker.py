"""A broker that refuses or falls silent: requests are answered all the same, and what they asked for gets done."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.failures.gate import Gate
from tests.failures.service import running, wait_for
from tests.support import SMALL


@pytest.mark.parametrize("how", ["silence", "shut"])
def test_requests_do_not_wait_for_a_broker_and_are_served_when_it_is_back(how: str, tmp_path: Path, redis: str) -> None:
    port, database = redis.rpartition(":")[2].split("/")
    gate = Gate("127.0.0.1", int(port))
    broker = f"redis://127.0.0.1:{gate.port}/{database}"
    with running(tmp_path, RDW_WORKERS="1", RDW_DATABASE_URL="", RDW_BROKER_URL=broker) as service:
        getattr(gate, how)()
        asked = []
        for seed in range(4):
            body = {"architecture": SMALL, "dataset": "digits", "recipe": "digits-smoke", "seed": seed}
            answer = httpx.post(f"{service.client.base_url}/v1/trials", json=body, timeout=2)  # the contract's bound
            assert answer.status_code == 202, answer.text
            asked.append(answer.json()["id"])
        assert service.client.get("/readyz").json()["broker"] == "does not answer"

        gate.open()

        for trial in asked:
            assert service.wait_for_trial(trial)["state"] == "completed"
        wait_for(lambda: service.client.get("/readyz").status_code == 200, 20, service.log)
    gate.end()
