"""Responses to generated requests conform to the OpenAPI spec."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.predictors.store import store_built_in
from tests.support import example_count

_EXAMPLES = 15
KEY = "a key for the contract"
_FOLDER = tempfile.TemporaryDirectory(prefix="rdw-contract-")


def app_on_a_new_database() -> FastAPI:
    settings = Settings(
        data_dir=Path(_FOLDER.name),
        database_url="",
        broker_url="",
        api_keys=hashlib.sha256(KEY.encode()).hexdigest(),
        rate_limit=0,
        train_rate_limit=0,
        solvers=0,  # without a lifespan nobody would end the processes
    )
    upgrade(settings.database)
    with UnitOfWork(settings.database) as work:
        store_built_in(work)
    return create_app(settings)


# Readiness says 503 where no worker runs: `api/test_resources.py` looks at it.
CONFIG = schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))
schema = schemathesis.openapi.from_asgi("/openapi.json", app_on_a_new_database(), config=CONFIG)


@schema.parametrize()
@hypothesis_settings(max_examples=example_count(_EXAMPLES), suppress_health_check=list(HealthCheck))
def test_every_operation_conforms_to_spec(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"})
