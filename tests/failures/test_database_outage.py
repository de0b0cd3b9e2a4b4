"""A database that goes and comes: the API says each change once, in a line."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from app.db.migrate import upgrade
from tests.failures.gate import Gate
from tests.failures.service import Service, wait_for


def test_the_api_says_once_that_its_database_is_away_and_once_that_it_answers_again(
    tmp_path: Path, postgres: str
) -> None:
    upgrade(postgres)
    where, _, name = postgres.rpartition("/")
    before, _, port = where.rpartition(":")
    gate = Gate("127.0.0.1", int(port))
    gate.shut()
    url = f"{before}:{gate.port}/{name}"
    api = Service(tmp_path, "api", RDW_DATABASE_URL=url, RDW_BROKER_URL="", RDW_RECONCILE_SECONDS="0.2")

    def said(words: str) -> int:
        return api.log().count(words)

    try:
        wait_for(lambda: _listens(api), 60, api.log)
        assert api.client.get("/v1/queue").status_code == 503
        time.sleep(1.5)
        assert (said("The database does not answer: "), said("answers again")) == (1, 0), api.log()
        assert "; tried again" in api.log()

        gate.open()
        wait_for(lambda: said("The database answers again") == 1, 30, api.log)
        assert api.client.get("/v1/queue").status_code == 200
        gate.shut()
        wait_for(lambda: said("The database does not answer: ") == 2, 30, api.log)
        assert "Traceback" not in api.log()
    finally:
        api.stop()
        gate.end()


def _listens(service: Service) -> bool:
    try:
        return service.client.get("/healthz").is_success
    except httpx.TransportError:
        return False
