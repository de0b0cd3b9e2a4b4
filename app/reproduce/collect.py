"""Collects the results of a reproduction from the service, for the report."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app.report.results import Results
from app.reproduce.design import BUDGETS
from app.reproduce.plan import Sizes, Step
from app.reproduce.state import RunState
from rdw_client import Client, Conflict, Invalid, NotFound, Trial


def collect_results(client: Client, state: RunState, missing: list[str], minutes: float | None) -> Results:
    """Collect whatever has finished.

    Raises: RdwError.
    """
    one_budget = _collect_study(client, state.studies.get(Step.ONE_BUDGET))
    over_range = _collect_study(client, state.studies.get(Step.OVER_RANGE))
    fitted = state.fitted or {}
    family: tuple[dict[str, Any], ...] = ()
    if over_range is not None:
        study = over_range["study"]["id"]
        over_range["front"] = fitted.get("front") or client.front(study).raw
        over_range["correlations"] = fitted.get("correlations") or client.correlations(study).raw
        over_range["calibration"] = _calibration(client, study)
        if state.family_requested:
            family = tuple(member.raw for member in client.trained_family(study).items)
    trials = [client.trial(id) for id in state.baseline_trials]
    study_recipe = (over_range or one_budget or {}).get("study", {}).get("recipe")
    return Results(
        settings={
            "dataset": state.choices["dataset"],
            "architecture": state.architecture,
            "recipe": study_recipe or (trials[0].recipe if trials else state.choices["recipe"]),
            "budgets": list(BUDGETS),
            "minutes": minutes,
            **asdict(Sizes(**state.sizes) if state.sizes else Sizes()),
        },
        dataset=next(d.raw for d in client.datasets() if d.name == state.choices["dataset"]),
        baseline=_describe_baseline(state, trials),
        provenance=_collect_provenance(client, state, trials),
        one_budget=one_budget,
        over_range=over_range,
        predictor=fitted.get("predictor"),
        family=family,
        missing=tuple(missing),
    )


def _collect_study(client: Client, study: str | None) -> dict[str, Any] | None:
    if study is None:
        return None
    return {"study": client.study(study).raw, "observations": [o.raw for o in client.observations(study)]}


def _calibration(client: Client, study: str) -> dict[str, Any] | None:
    """Get the calibration; None if the study has no predictions yet."""
    try:
        return client.calibration(study).raw
    except (Conflict, Invalid, NotFound):
        return None


def _describe_baseline(state: RunState, trials: list[Trial]) -> dict[str, Any]:
    """Describe the unscaled network, with the data set's classes, and the accuracies that it reached."""
    if not trials:
        return {"name": state.architecture}
    first = trials[0]
    return {
        "name": state.architecture,
        "resolution": (first.config or {})["resolution"],
        "flops": first.flops,
        "params": first.params,
        "accuracies": [trial.accuracy for trial in trials if trial.accuracy is not None],
    }


def _collect_provenance(client: Client, state: RunState, baseline_trials: list[Trial]) -> dict[str, Any]:
    study_trials = [trial for study in state.studies.values() for trial in client.trials(study=study)]
    completed = {trial.id: trial for trial in (*baseline_trials, *study_trials) if trial.result is not None}
    results = [trial.result for trial in completed.values() if trial.result is not None]
    return {
        "environment": results[0].get("environment", {}) if results else {},
        "cpus": os.cpu_count(),
        "workers": sum(worker.alive for worker in client.workers()),
        "seconds": state.elapsed,
        "trainings": len(results),
        "training_seconds": sum(result["seconds"] for result in results),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seeds": ", ".join(str(seed) for seed in sorted({trial.seed for trial in completed.values()})),
    }
