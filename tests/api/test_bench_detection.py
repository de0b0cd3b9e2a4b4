"""The comparison of detectors trains both rules' networks and prints a table of the results."""

from __future__ import annotations

import runpy
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.trials import Latency, TrialResult
from app.data import builtin_datasets
from app.services.trials import lifecycle
from rdw_client import Client
from tests.serving import RunningService, serve_api

BENCH = Path(__file__).parents[2] / "bench" / "detection.py"
ARGUMENTS = Namespace(architecture="b0-like", ratio=0.25, seeds=2, recipe="detection-quick")


@pytest.fixture
def bench() -> dict[str, Any]:
    return runpy.run_path(str(BENCH))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with serve_api(tmp_path) as running:
        yield running


def create_result(accuracy: float) -> TrialResult:
    return TrialResult(
        accuracy,
        10.0,
        {},
        test={"accuracy": accuracy, "ap50": 2 * accuracy},
        latency=Latency(1.25, 1.5, 700, 1, 1, "onnxruntime"),
        detector={"flops": 9_000_000, "params": 99_000},
    )


def test_table_compares_rules_at_equal_flops(
    bench: dict[str, Any], service: RunningService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builtin_datasets, "scenes_unavailable_reason", lambda data_dir: None)
    monkeypatch.setattr("app.services.catalog.datasets.scenes_unavailable_reason", lambda data_dir: None)
    costs = []
    with Client(service.url) as client:
        client.register_architecture(bench["BASELINE"])
        for rule, accuracies in (("tiny_formula", (0.30, 0.34)), ("compound", (0.20, 0.20))):
            for seed, accuracy in enumerate(accuracies):
                answer = bench["request_training"](client, ARGUMENTS, rule, seed)
                costs.append(answer.cost.flops)
                assert (answer.trial.raw["kind"], answer.trial.seed) == ("detection", seed)
                claim = service.claim(answer.trial.id)
                with service.work() as unit:
                    assert lifecycle.complete(unit, claim, create_result(accuracy))

        bench["compare"](client, ARGUMENTS)

    assert max(costs) / min(costs) - 1 < 0.002
    output = capsys.readouterr().out
    tiny, compound = (line for line in output.splitlines() if "±" in line)
    assert (tiny.split()[0], compound.split()[0]) == bench["RULES"]
    assert tiny.split()[-6:] == ["32.0", "±", "2.8", "64.0", "±", "5.7"]
    assert compound.split()[-6:] == ["20.0", "±", "0.0", "40.0", "±", "0.0"]
    assert "9.000M" in tiny and "99k" in tiny and "1.25" in tiny
    assert "says nothing about COCO" in " ".join(output.split())


def test_missing_data_set_is_reported_with_packages_to_install(
    bench: dict[str, Any], service: RunningService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(builtin_datasets, "photo_folder", lambda: tmp_path)

    with (
        Client(service.url) as client,
        pytest.raises(bench["BenchFailed"], match=r"apt-get install -y .*mate-backgrounds"),
    ):
        bench["compare"](client, ARGUMENTS)
