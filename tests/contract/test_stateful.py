"""Sequences of requests, each made from the answers before it by the spec's links, keep to the spec."""

from __future__ import annotations

from pathlib import Path

import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from app.main import create_app
from app.settings import Settings

SEQUENCES, STEPS = 8, 12
CONFIG = schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))


def test_sequences_of_requests_keep_to_the_spec(settings: Settings) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(settings), config=CONFIG)

    run_state_machine_as_test(
        schema.as_state_machine(),
        settings=hypothesis_settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
