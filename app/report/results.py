"""The results of a reproduction as the API returned them, and the values that figures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.figures import FinishedTraining, Member
from app.scaling.predictors.predictor import Predictor
from app.scaling.search.observations import Observation, Role


@dataclass(frozen=True)
class Results:
    """Plain values, most of them response bodies of the API.

    `one_budget` has `study` and `observations`; `over_range` also `front`, `correlations` and `calibration`.
    `predictor` is the response to the refit, with its `gate`; `family` are the family's items. `missing` says in a
    sentence each what has not finished.
    """

    settings: dict[str, Any]
    dataset: dict[str, Any]
    baseline: dict[str, Any]
    provenance: dict[str, Any]
    one_budget: dict[str, Any] | None = None
    over_range: dict[str, Any] | None = None
    predictor: dict[str, Any] | None = None
    family: tuple[dict[str, Any], ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def observations_at_one_budget(self) -> list[Observation]:
        return _parse_observations(self.one_budget)

    @property
    def observations_over_range(self) -> list[Observation]:
        """The networks of the study over a range, without the family's, which were trained later."""
        family = {trial["id"] for item in self.family for trial in item.get("trials") or ()}
        return [o for o in _parse_observations(self.over_range) if o.role == Role.RANDOM or o.trial not in family]

    @property
    def front(self) -> list[Observation]:
        """The networks that NSGA-III selects."""
        latencies = {o.trial: o.latency_ms for o in _parse_observations(self.over_range)}
        front = (self.over_range or {}).get("front") or {}
        return [
            Observation(
                o["r"], o["d"], o["w"], o["c"], o["flops"], o["params"], o["accuracy"], o.get("trial"),
                latencies.get(o.get("trial")), Role(o.get("role") or Role.RANDOM),
            )
            for o in front.get("items", [])
        ]  # fmt: skip

    @property
    def correlations(self) -> dict[str, dict[str, Any]]:
        """The correlations of r, d and w with FLOPs along the front."""
        correlations = (self.over_range or {}).get("correlations") or {}
        return {name: correlations[name] for name in "rdw" if name in correlations}

    @property
    def calibration(self) -> dict[str, Any]:
        return (self.over_range or {}).get("calibration") or {}

    @property
    def finished_random(self) -> list[FinishedTraining]:
        """The trainings of random networks over the range, in the order finished."""
        epochs = (self.over_range or {}).get("study", {}).get("recipe", {}).get("epochs", 1)
        return [
            FinishedTraining(epochs, o.flops, o.accuracy)
            for o in self.observations_over_range
            if o.role == Role.RANDOM
        ]  # fmt: skip

    @property
    def fitted_predictor(self) -> Predictor | None:
        plain = self.predictor
        if plain is None:
            return None
        points = [{key: value for key, value in point.items() if key != "trial"} for point in plain["points"]]
        return Predictor.from_json({"points": points, "hyperparameters": plain["hyperparameters"]})

    @property
    def members(self) -> list[Member]:
        """The family's networks, without those for which the rule had no answer."""
        return [to_member(item) for item in self.family if item.get("flops") is not None]

    @property
    def predictions(self) -> list[tuple[float, float, float]]:
        """Predicted mean, its standard deviation, and the measured accuracy."""
        return [(i["mean"], i["sd"], i["measured"]) for i in self.calibration.get("items", [])]


def to_member(item: dict[str, Any]) -> Member:
    accuracies = tuple(item.get("accuracies") or ())
    return Member(item["target_flops"], item["rule"], item["recipe"], item["flops"], accuracies)


def _parse_observations(study: dict[str, Any] | None) -> list[Observation]:
    return [
        Observation(
            o["r"], o["d"], o["w"], o["ratio"], o["flops"], o["params"], o["accuracy"], o.get("trial_id"),
            o.get("latency_ms"), Role(o.get("role") or Role.RANDOM),
        )
        for o in (study or {}).get("observations", [])
        if None not in (o["r"], o["d"], o["w"], o["ratio"])
    ]  # fmt: skip
