"""A study's value types: states, options, family and reported results."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from app.core.predictions import PredictedAccuracy
from app.scaling.network import Config, Multipliers
from app.scaling.predictors.promotion_gate import Gate
from app.scaling.search.asha import Halving


class StudyState(StrEnum):
    """The state of a study; its transitions are in `services/studies/lifecycle.py`."""

    CREATED = "created"
    STARTED = "started"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class StudyStatus(StrEnum):
    """The status of a study in responses: its state, or `completed` once all its trials have ended."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Sampler(StrEnum):
    """How a study samples its networks: at random, or by the expected improvement of the front."""

    RANDOM = "random"
    ACTIVE = "active"


class SuggestionState(StrEnum):
    """The state of a suggestion.

    A reported one may be reported again once its observation was retracted, an infeasible one at any time.
    """

    PENDING = "pending"
    REPORTED = "reported"
    INFEASIBLE = "infeasible"


@dataclass(frozen=True)
class RefitPolicy:
    """When and how a study's predictor is refitted automatically.

    It is refitted after `every` new observations (None: on demand only), on at most `k` networks of the front. With
    `promote`, the new version becomes active, so that it answers everybody, if it passes the `gate`.
    """

    every: int | None = 20
    k: int = 20
    gate: Gate = field(default_factory=Gate)
    promote: bool = False

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RefitPolicy:
        return cls(**{**plain, "gate": Gate.from_json(plain.get("gate", {}))})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class StudyOptions:
    """How a study is carried out.

    `compound` networks from compound scaling are trained for comparison; each network is trained with `seeds` seeds.
    Without `halving` every network is trained to its last epoch.
    """

    compound: int = 0
    seeds: int = 1
    halving: Halving | None = None
    refit: RefitPolicy = field(default_factory=RefitPolicy)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> StudyOptions:
        """Read the options; studies stored without a refit policy are refitted on demand only."""
        halving, refit = plain.get("halving"), plain.get("refit") or {"every": None}
        parts = {"halving": halving and Halving.from_json(halving), "refit": RefitPolicy.from_json(refit)}
        return cls(**{**plain, **parts})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def rungs(self, epochs: int) -> list[int]:
        """Return the epochs after which sampled networks are compared; without halving only the last epoch."""
        return self.halving.rungs(epochs) if self.halving else [epochs]


@dataclass(frozen=True)
class ReportedResult:
    """The result of a training that a client reports: accuracy (0 to 1) and measurements, or why it was infeasible.

    `observation` is the id of the observation created from it.
    """

    accuracy: float | None = None
    infeasible: str | None = None
    seconds: float | None = None
    latency_ms: float | None = None
    metrics: dict[str, float] | None = None
    observation: int | None = None

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> ReportedResult:
        return cls(**plain)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class InterimResult:
    """The accuracy (0 to 1) that a client reports after an epoch, and whether the response was to continue."""

    epoch: int
    accuracy: float
    go_on: bool = True

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> InterimResult:
        return cls(**plain)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FamilyMember:
    """A network of a family: its budget, rule and recipe, and its trials, one per seed."""

    target_flops: int
    rule: str
    recipe: str
    problem: str | None = None  # why the rule found no network for the budget
    multipliers: Multipliers | None = None
    config: Config | None = None
    flops: int | None = None
    params: int | None = None
    predicted: PredictedAccuracy | None = None
    trials: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> FamilyMember:
        multipliers, config, predicted = (plain.get(name) for name in ("multipliers", "config", "predicted"))
        parts = {
            "multipliers": multipliers and Multipliers.from_json(multipliers),
            "config": config and Config.from_json(config),
            "predicted": predicted and PredictedAccuracy.from_json(predicted),
        }
        return cls(**{**plain, **parts, "trials": tuple(plain["trials"])})

    def to_json(self) -> dict[str, Any]:
        parts = {
            "multipliers": self.multipliers and self.multipliers.to_json(),
            "config": self.config and self.config.to_json(),
            "predicted": self.predicted and self.predicted.to_json(),
        }
        return {**vars(self), **parts, "trials": list(self.trials)}


@dataclass(frozen=True)
class Family:
    """The networks that the scaling rules give for several budgets, in the order requested."""

    members: tuple[FamilyMember, ...] = ()

    @classmethod
    def from_json(cls, plain: list[dict[str, Any]]) -> Family:
        return cls(tuple(FamilyMember.from_json(member) for member in plain))

    def to_json(self) -> list[dict[str, Any]]:
        return [member.to_json() for member in self.members]
