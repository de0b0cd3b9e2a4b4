"""A database that becomes unavailable and returns: the API logs each change once, in one line."""

from __future__ import annotations

from pathlib import Path

import httpx

from app.db.migrate import upgrade
from tests.failures.gate import Gate
from tests.failures.service import Service, wait_for


def test_database_outage_and_recovery_are_logged_once(tmp_path: Path, postgres: str) -> None:
    upgrade(postgres)
    where, _, name = postgres.rpartition("/")
    before, _, port = where.rpartition(":")
    gate = Gate("127.0.0.1", int(port))
    gate.hang_up()
    url = f"{before}:{gate.port}/{name}"
    api = Service(tmp_path, "api", RDW_DATABASE_URL=url, RDW_BROKER_URL="", RDW_RECONCILE_SECONDS="0.2")

    def count(text: str) -> int:
        return api.log().count(text)

    try:
        wait_for(lambda: _listens(api), api.log)
        assert api.client.get("/v1/queue").status_code == 503
        wait_for(lambda: gate.hung_up >= 5, api.log)
        assert (count("The database does not answer: "), count("answers again")) == (1, 0), api.log()
        assert "; retrying" in api.log()

        gate.open()
        wait_for(lambda: count("The database answers again") == 1, api.log)
        assert api.client.get("/v1/queue").status_code == 200
        gate.shut()
        wait_for(lambda: count("The database does not answer: ") == 2, api.log)
        assert "Traceback" not in api.log()
    finally:
        api.stop()
        gate.close()


def _listens(service: Service) -> bool:
    try:
        return service.client.get("/healthz").is_success
    except httpx.TransportError:
        return False
