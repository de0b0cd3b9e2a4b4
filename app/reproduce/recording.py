"""How a training becomes a record, and a record an observation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.reproduce.records import Header, Record
from app.scaling.search.observations import Role
from rdw_client import Trial

_VERSIONS = ("rdw", "python", "torch", "timm", "numpy")


def create_header(trial: Trial, baseline: Mapping[str, Any]) -> Header:
    """Describe what a completed training has in common with the others of its experiment."""
    environment = (trial.result or {}).get("environment", {})
    return Header(
        baseline=baseline,
        dataset=trial.dataset,
        digest=environment.get("data_digest", ""),
        recipe=trial.recipe or {},
        device=environment.get("device", "unknown"),
        versions={name: environment[name] for name in _VERSIONS if name in environment},
        threads=environment.get("threads"),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def study_record(trial: Trial, number: int, multipliers: Mapping[str, Any]) -> Record:
    """Describe the completed training of a random network of a study."""
    result, config = trial.result or {}, trial.config or {}
    return Record(
        kind="study",
        study=number,
        rule=None,
        budget=None,
        config={name: value for name, value in config.items() if name != "timm"},  # timm's call follows from the rest
        multipliers={name: value for name, value in multipliers.items() if name in "rdw"},
        flops=trial.flops,
        params=trial.params,
        px=config["resolution"],
        seed=trial.seed,
        accuracy=result["accuracy"],
        test_accuracy=result["test_accuracy"],
        history=[epoch["validation_accuracy"] for epoch in result.get("history") or ()],
        seconds=result["seconds"],
        trial=trial.id,
        processor=(result.get("environment") or {}).get("processor", ""),
    )


def family_record(trial: Trial, number: int | None, rule: str, budget: float, answer: Mapping[str, Any]) -> Record:
    """Describe the completed training of the network that a rule recommends in `answer`."""
    predicted = answer.get("predicted_accuracy")
    return replace(
        study_record(trial, 0, answer["multipliers"]),
        kind="family",
        study=number,
        rule=rule,
        budget=budget,
        predicted=predicted and {"mean": predicted["mean"], "sd": predicted["sd"]},
        off_curve=any(warning["code"] == "off_curve" for warning in answer.get("warnings", ())),
    )


def to_observation(record: Record) -> dict[str, Any]:
    """Return the record of a random network as an observation to import into a study."""
    return {**record.multipliers, "accuracy": record.accuracy, "seconds": record.seconds, "role": Role.RANDOM}
