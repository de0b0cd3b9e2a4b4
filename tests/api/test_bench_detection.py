"""The comparison of detectors asks the service for what it says, and shows what came of it."""

from __future__ import annotations

import runpy
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import datasets
from app.db.unit_of_work import UnitOfWork
from app.services import leases
from app.settings import Settings

BENCH = Path(__file__).parents[2] / "bench" / "detection.py"
ASKED = Namespace(architecture="b0-like", ratio=0.25, seeds=2, recipe="detection-quick")


@pytest.fixture
def bench() -> dict[str, Any]:
    return runpy.run_path(str(BENCH))


def result(accuracy: float) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "test_accuracy": accuracy,
        "test_ap50": 2 * accuracy,
        "seconds": 10.0,
        "environment": {},
        "latency": {"median_ms": 1.25},
        "detector": {"flops": 9_000_000, "params": 99_000},
    }


def test_equal_flops_several_seeds_and_a_table(
    bench: dict[str, Any],
    client: TestClient,
    work: Callable[[], UnitOfWork],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(datasets, "scenes_missing", lambda data_dir: None)
    monkeypatch.setattr("app.services.datasets.scenes_missing", lambda data_dir: None)
    bench["post"](client, "/v1/architectures", bench["BASELINE"])
    costs = []
    for rule, accuracies in (("tiny_formula", (0.30, 0.34)), ("compound", (0.20, 0.20))):
        for seed, accuracy in enumerate(accuracies):
            answer = bench["requested"](client, ASKED, rule, seed)
            costs.append(answer["cost"]["flops"])
            assert (answer["trial"]["kind"], answer["trial"]["seed"]) == ("detection", seed)
            with work() as unit:
                claim = leases.claim(unit, "a test", settings)
                assert claim is not None
                assert leases.complete(unit, claim, result(accuracy))

    bench["compare"](client, ASKED)

    assert max(costs) / min(costs) - 1 < 0.002
    shown = capsys.readouterr().out
    tiny, compound = (line for line in shown.splitlines() if "±" in line)
    assert (tiny.split()[0], compound.split()[0]) == bench["RULES"]
    assert tiny.split()[-6:] == ["32.0", "±", "2.8", "64.0", "±", "5.7"]
    assert compound.split()[-6:] == ["20.0", "±", "0.0", "40.0", "±", "0.0"]
    assert "9.000M" in tiny and "99k" in tiny and "1.25" in tiny
    assert "says nothing about COCO" in " ".join(shown.split())


def test_without_the_set_it_says_what_to_install(
    bench: dict[str, Any], client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(datasets, "photo_folder", lambda: tmp_path)

    with pytest.raises(bench["Failed"], match=r"apt-get install -y .*mate-backgrounds"):
        bench["compare"](client, ASKED)
