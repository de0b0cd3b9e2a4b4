"""Sequences of requests that follow the spec's links conform to the spec."""

from __future__ import annotations

from pathlib import Path

import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from app.core.settings import Settings
from app.http.app import create_app
from tests.support import example_count

SEQUENCES, STEPS = 8, 12
CONFIG = schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))


def test_request_sequences_conform_to_spec(settings: Settings) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(settings), config=CONFIG)

    run_state_machine_as_test(
        schema.as_state_machine(),
        settings=hypothesis_settings(
            max_examples=example_count(SEQUENCES),
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
