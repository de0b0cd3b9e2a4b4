"""What a reproduction found, as the API answered it, and the values that figures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.figures import Finished, Member
from app.scaling.observations import Observation
from app.scaling.predictor import Predictor


@dataclass(frozen=True)
class Results:
    """Plain values, most of them bodies of the API's answers.

    `one_budget`: `study`, `observations`. `over_range`: these and `front`, `correlations`, `calibration`. `predictor`:
    the refit's answer, with its `gate`. `family`: items. `missing`: sentences that say what was not finished.
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
    def at_one_budget(self) -> list[Observation]:
        return _observations(self.one_budget)

    @property
    def at_all_costs(self) -> list[Observation]:
        """Of the study over a range, but for the family, which was trained after it."""
        family = {trial["id"] for item in self.family for trial in item.get("trials") or ()}
        return [o for o in _observations(self.over_range) if o.role == "random" or o.trial not in family]

    @property
    def front(self) -> list[Observation]:
        """The networks that NSGA-III keeps."""
        latencies = {o.trial: o.latency_ms for o in _observations(self.over_range)}
        kept = (self.over_range or {}).get("front") or {}
        return [
            Observation(
                o["r"], o["d"], o["w"], o["c"], o["flops"], o["params"], o["accuracy"], o.get("trial"),
                latencies.get(o.get("trial")), o.get("role") or "random",
            )
            for o in kept.get("items", [])
        ]  # fmt: skip

    @property
    def finished(self) -> list[Finished]:
        """The trainings of the study over a range, in the order finished, the random networks alone."""
        epochs = (self.over_range or {}).get("study", {}).get("recipe", {}).get("epochs", 1)
        return [Finished(epochs, o.flops, o.accuracy) for o in self.at_all_costs if o.role == "random"]

    @property
    def curve(self) -> Predictor | None:
        plain = self.predictor
        return None if plain is None else Predictor.from_json({k: plain[k] for k in ("points", "hyperparameters")})

    @property
    def members(self) -> list[Member]:
        """The family's networks, those without an answer left out."""
        return [
            Member(i["target_flops"], i["rule"], i["recipe"], i["flops"], tuple(i.get("accuracies") or ()))
            for i in self.family
            if i.get("flops") is not None
        ]

    @property
    def pairs(self) -> list[tuple[float, float, float]]:
        """Predicted mean, standard deviation, and what was measured."""
        known = ((self.over_range or {}).get("calibration") or {}).get("items", [])
        return [(i["mean"], i["sd"], i["measured"]) for i in known]


def _observations(part: dict[str, Any] | None) -> list[Observation]:
    return [
        Observation(
            o["r"], o["d"], o["w"], o["ratio"], o["flops"], o["params"], o["accuracy"], o.get("trial_id"),
            o.get("latency_ms"), o.get("role") or "random",
        )
        for o in (part or {}).get("observations", [])
        if None not in (o["r"], o["d"], o["w"], o["ratio"])
    ]  # fmt: skip
