"""Progress and results of trials, to JSON and back."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.trials import (
    EstimateError,
    Latency,
    Progress,
    ReadingProgress,
    RungAccuracy,
    TrainingProgress,
    TrialResult,
)

CLASSIFIER: dict[str, Any] = {
    "accuracy": 0.9,
    "top5": 0.99,
    "loss": 0.3,
    "by_class": [0.8, None],
    "test_accuracy": 0.88,
    "test_top5": 0.98,
    "metric": "top1",
    "weights": "ema",
    "other": None,
    "images_per_second": 1500.0,
    "peak_memory_bytes": 1000,
    "seconds": 12.5,
    "history": [{"epoch": 1, "train_loss": 0.5}],
    "environment": {"torch": "2"},
    "latency": {"median_ms": 1.25, "p95_ms": 1.5, "runs": 700, "threads": 1, "batch": 1, "runtime": "onnxruntime"},
    "operators": ["Conv"],
    "estimate": {"seconds": 10.0, "error": -0.2},
}
FAILED_EXPORT = {key: CLASSIFIER[key] for key in CLASSIFIER if key not in ("latency", "operators")}


@pytest.mark.parametrize("plain", [CLASSIFIER, {**FAILED_EXPORT, "export_error": "too different"}])
def test_result_json_round_trip_preserves_order(plain: dict[str, Any]) -> None:
    again = TrialResult.from_json(plain).to_json()

    assert again == plain
    assert [key for key in again if key != "export_error"] == [key for key in plain if key != "export_error"]


def test_a_result_has_its_figures_as_values() -> None:
    result = TrialResult.from_json(CLASSIFIER)

    assert result.score == {"accuracy": 0.9, "top5": 0.99, "loss": 0.3, "by_class": [0.8, None]}
    assert result.test == {"accuracy": 0.88, "top5": 0.98}
    assert result.latency == Latency(1.25, 1.5, 700, 1, 1, "onnxruntime")
    assert result.estimate == EstimateError(10.0, -0.2)
    assert TrialResult.from_json(result.to_json()) == result


def test_old_result_with_required_fields_is_read() -> None:
    result = TrialResult.from_json({"accuracy": 0.5, "seconds": 1.0, "environment": {}})

    assert (result.accuracy, result.metric, result.latency, result.history) == (0.5, None, None, [])


@pytest.mark.parametrize(
    "progress", [ReadingProgress(100, 1000), TrainingProgress(1, 4, 20, 20, 0.5, 0.9, 1500.0, 30.0)]
)
def test_progress_round_trip(progress: Progress) -> None:
    assert Progress.from_json(progress.to_json()) == progress


def test_progress_names_its_phase() -> None:
    assert ReadingProgress(1, 2).to_json() == {"phase": "reading", "images": 1, "total": 2}
    assert list(TrainingProgress(1).to_json()) == [
        "phase", "epoch", "epochs", "step", "steps", "train_loss", "validation_accuracy", "images_per_second",
        "seconds_left",
    ]  # fmt: skip


def test_rung_accuracy_round_trip() -> None:
    assert RungAccuracy.from_json({"epoch": 3, "accuracy": 0.5}).to_json() == {"epoch": 3, "accuracy": 0.5}
