"""The examples that train elsewhere print the results that the service has stored."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving import RunningService, serve_api

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = EXAMPLES.parent


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without workers: the examples train."""
    with serve_api(tmp_path_factory.mktemp("examples")) as service:
        yield service


def run(service: RunningService, example: str, *arguments: str) -> str:
    python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, EXAMPLES / example, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": python_path, "RDW_URL": service.url},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def observations(service: RunningService, said: str) -> list[dict]:
    study = re.search(r"study ([0-9a-f]{32})", said)
    assert study is not None
    return httpx.get(f"{service.url}/v1/studies/{study[1]}/observations").raise_for_status().json()["items"]


@pytest.mark.exhaustive
def test_ask_tell_example_reports_its_trainings(service: RunningService) -> None:
    said = run(service, "ask_tell.py", "--trainings", "8", "--epochs", "1")

    told = observations(service, said)
    assert len({o["flops"] for o in told}) == len(told) == 8
    assert all(o["provenance"]["source"] == "example" and o["seconds"] > 0 for o in told)
    for o in told:
        assert re.search(rf"w {o['w']:.2f} .* {o['accuracy']:.1%}$", said, re.MULTILINE)
    assert re.search(r"surrogate .*M FLOPs +[\d.]+% ± [\d.]+% predicted", said)


@pytest.mark.exhaustive
def test_optuna_example_respects_budget_and_reports_results(service: RunningService) -> None:
    said = run(service, "optuna_loop.py", "--trainings", "8", "--epochs", "1")

    told = observations(service, said)
    answer = httpx.post(f"{service.url}/v1/cost", json={"architecture": "digits-net"}).raise_for_status().json()
    assert len(told) == 8
    assert max(o["flops"] for o in told) <= 0.6 * answer["cost"]["flops"]
    assert {o["provenance"]["source"] for o in told} == {"optuna"}
    beyond = re.search(r"^(\d+) networks were above the budget", said, re.MULTILINE)
    assert beyond is not None and int(beyond[1]) > 0
    assert re.search(r"surrogate .*M FLOPs +[\d.]+% ± [\d.]+% predicted", said)
