"""What the service knows of a reproduction, as the report takes it."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app.report.results import Results
from app.reproduce import baseline
from app.reproduce.client import Client, Refused
from app.reproduce.plan import Sizes
from app.reproduce.state import State


def gather(client: Client, state: State, missing: list[str], minutes: float | None) -> Results:
    """All of it, whatever has finished. Raises: Refused, Unreachable."""
    one, over = (_study(client, state.studies.get(step)) for step in ("one_budget", "over_range"))
    fitted = state.fitted or {}
    family: list[dict[str, Any]] = []
    if over is not None:
        id = over["study"]["id"]
        over["front"] = fitted.get("front") or client.get(f"/v1/studies/{id}/front")
        over["correlations"] = fitted.get("correlations") or client.get(f"/v1/studies/{id}/correlations")
        over["calibration"] = _perhaps(client, f"/v1/studies/{id}/calibration")
        family = (_perhaps(client, f"/v1/studies/{id}/family") or {}).get("items", []) if state.family else []
    trials = [client.get(f"/v1/trials/{id}") for id in state.baseline_trials]
    studied = (over or one or {}).get("study", {})
    return Results(
        settings={
            "dataset": state.choices["dataset"],
            "architecture": state.architecture,
            "recipe": studied.get("recipe") or (trials[0]["recipe"] if trials else state.choices["recipe"]),
            "budgets": list(baseline.BUDGETS),
            "minutes": minutes,
            **asdict(Sizes(**state.sizes) if state.sizes else Sizes()),
        },
        dataset=next(d for d in client.every("/v1/datasets") if d["name"] == state.choices["dataset"]),
        baseline=_baseline(state, trials),
        provenance=_provenance(client, state, trials),
        one_budget=one,
        over_range=over,
        predictor=fitted.get("predictor"),
        family=tuple(family),
        missing=tuple(missing),
    )


def _study(client: Client, id: str | None) -> dict[str, Any] | None:
    if id is None:
        return None
    return {
        "study": client.get(f"/v1/studies/{id}"),
        "observations": client.every(f"/v1/studies/{id}/observations"),
    }


def _perhaps(client: Client, path: str) -> Any:
    """None where there is nothing yet."""
    try:
        return client.get(path)
    except Refused:
        return None


def _baseline(state: State, trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The unscaled network, with the data set's classes, and what it reached by itself."""
    reached = [t["result"]["accuracy"] for t in trials if t.get("result")]
    if not trials:
        return {"name": state.architecture}
    first = trials[0]
    return {
        "name": state.architecture,
        "resolution": first["config"]["resolution"],
        "flops": first["flops"],
        "params": first["params"],
        "accuracies": reached,
    }


def _provenance(client: Client, state: State, trials: list[dict[str, Any]]) -> dict[str, Any]:
    of_studies = [t for id in state.studies.values() for t in client.every("/v1/trials", study=id)]
    done = {t["id"]: t for t in (*trials, *of_studies) if t.get("result")}
    seeds = sorted({t["seed"] for t in done.values()})
    return {
        "environment": next((t["result"].get("environment", {}) for t in done.values()), {}),
        "cpus": os.cpu_count(),
        "workers": sum(bool(w["alive"]) for w in client.every("/v1/workers")),
        "seconds": state.spent,
        "trainings": len(done),
        "training_seconds": sum(t["result"]["seconds"] for t in done.values()),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seeds": ", ".join(map(str, seeds)),
    }
