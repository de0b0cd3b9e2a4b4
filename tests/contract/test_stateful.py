"""Sequences of requests that follow the spec's links conform to the spec."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from app.core.settings import Settings
from app.http.app import create_app
from tests.support import example_count

SEQUENCES, STEPS = 8, 12
KEY = "a key for the sequences"  # since the first key that a sequence creates would lock the service
CONFIG = schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))


def test_request_sequences_conform_to_spec(settings: Settings) -> None:
    guarded = settings.model_copy(
        update={"api_keys": hashlib.sha256(KEY.encode()).hexdigest(), "rate_limit": 0, "train_rate_limit": 0}
    )
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(guarded), config=CONFIG)

    class Sequences(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {KEY}"}}

    run_state_machine_as_test(
        Sequences,
        settings=hypothesis_settings(
            max_examples=example_count(SEQUENCES),
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
