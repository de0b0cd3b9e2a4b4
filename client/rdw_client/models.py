"""What the service answers, as frozen values. Fields that come later are in `raw`, and break nothing."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Generic, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from rdw_client.errors import NotUnderstood

Plain = dict[str, Any]
T = TypeVar("T")

ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer; `raw` is its JSON as it came."""

    raw: Plain = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Any) -> Self:
        """Raises: NotUnderstood."""
        if not isinstance(raw, dict):
            raise NotUnderstood(f"The answer is no {cls.__name__}. Is RDW_URL that of rdw?")
        given: Plain = {"raw": raw}
        for name, read in _readers(cls).items():  # type: ignore[arg-type]
            if name in raw:
                given[name] = read(raw[name])
        try:
            return cls(**given)
        except TypeError as error:
            raise NotUnderstood(f"The answer is no {cls.__name__}: {error}") from error


@cache
def _readers(cls: type[Answer]) -> dict[str, Callable[[Any], Any]]:
    return {name: _reader(hint) for name, hint in get_type_hints(cls).items() if name != "raw"}


def _reader(hint: Any) -> Callable[[Any], Any]:
    """Reads a JSON value as the hint says."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        some = _reader(next(one for one in inner if one is not type(None)))
        return lambda value: None if value is None else some(value)
    if origin is tuple:
        each = _reader(inner[0])
        return lambda value: tuple(each(one) for one in value)
    if isinstance(hint, type) and issubclass(hint, Answer):
        return hint.of
    if hint is datetime:
        return lambda value: datetime.fromisoformat(value)
    return lambda value: value


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list; `next` is the cursor of the following one, none on the last."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class Multipliers(Answer):
    """Relative to the baseline. `w_interval`: all widths that give this very network."""

    r: float
    d: float
    w: float
    r_sd: float | None = None
    d_sd: float | None = None
    w_interval: tuple[float, ...] | None = None
    w_stages: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Cost(Answer):
    """For one image; `flops` are multiply-adds of convolutions and linear layers."""

    flops: int
    fvcore_total: int
    params: int
    activations: int
    peak_activation_bytes: int
    by_operator: Plain = field(default_factory=dict)
    stages: tuple[Plain, ...] = ()
    counters: tuple[Plain, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Costed(Answer):
    """A network and what it costs."""

    config: Plain
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class PredictedAccuracy(Answer):
    mean: float
    sd: float
    dataset: str


@dataclass(frozen=True, kw_only=True)
class PredictorRef(Answer):
    id: str
    version: int
    observations: int
    provenance: str


@dataclass(frozen=True, kw_only=True)
class Note(Answer):
    """A warning: `extrapolated`, `transferred`, `budget_missed`, …"""

    code: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Estimate(Answer):
    """What a training would take, in seconds of one worker; nine in ten lie between `low` and `high`."""

    seconds: float
    low: float
    high: float
    trainings: int


@dataclass(frozen=True, kw_only=True)
class Trial(Answer):
    """One network trained on one data set with one recipe and seed."""

    id: str
    state: str
    architecture: str
    dataset: str
    flops: int
    params: int
    seed: int
    multipliers: Plain | None = None
    ratio: float | None = None
    priority: int = 0
    attempt: int = 0
    progress: Plain | None = None
    predicted: Plain | None = None
    result: Plain | None = None
    error: str | None = None
    config: Plain | None = None
    recipe: Plain | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def accuracy(self) -> float | None:
        """On validation, once it has completed."""
        return None if self.result is None else self.result.get("accuracy")


@dataclass(frozen=True, kw_only=True)
class Recommendation(Answer):
    """A network for a budget; `config` alone suffices to build it."""

    architecture: str
    rule: str
    multipliers: Multipliers
    config: Plain
    cost: Cost
    target_flops: int | None = None
    budget_error: float | None = None
    moved: Plain | None = None
    predicted_accuracy: PredictedAccuracy | None = None
    predictor: PredictorRef | None = None
    warnings: tuple[Note, ...] = ()
    trial: Trial | None = None
    estimate: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Family(Answer):
    """A network for each budget."""

    items: tuple[Recommendation, ...]


@dataclass(frozen=True, kw_only=True)
class Compared(Answer):
    """One rule's answer, or why it has none."""

    rule: str
    answer: Recommendation | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison(Answer):
    """One budget by several rules."""

    target_flops: int
    items: tuple[Compared, ...]


@dataclass(frozen=True, kw_only=True)
class Architecture(Answer):
    """A baseline; `baseline` and `rules` are there where it was read alone."""

    name: str
    family: str
    resolution: int
    flops: int
    params: int
    built_in: bool = True
    baseline: Plain | None = None
    rules: Plain | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset(Answer):
    """`missing` says why the service's machine cannot read it; none where it can."""

    name: str
    kind: str
    num_classes: int
    channels: int
    native_px: int
    description: str
    task: str = "classification"
    train_images: int | None = None
    test_images: int | None = None
    digest: str = ""
    missing: str | None = None


@dataclass(frozen=True, kw_only=True)
class Study(Answer):
    """`trials` counts its trials by state; `proposed` of `size` networks are drawn."""

    id: str
    name: str
    state: str
    architecture: str
    dataset: str
    sampler: str
    size: int
    proposed: int
    seed: int
    trials: Plain
    created_at: datetime | None = None
    recipe: Plain | None = None
    space: Plain | None = None
    options: Plain | None = None


@dataclass(frozen=True, kw_only=True)
class Suggestion(Answer):
    """What to train next, elsewhere."""

    id: str
    client: str
    state: str
    multipliers: Multipliers
    config: Plain
    flops: int
    params: int
    ratio: float
    late: bool = False
    predicted_accuracy: Plain | None = None
    lease_expires_at: datetime | None = None
    told: Plain | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Heard(Answer):
    """What was told counts as `observation`; none where it was infeasible."""

    observation: int | None = None
    suggestion: Suggestion | None = None


@dataclass(frozen=True, kw_only=True)
class Observation(Answer):
    """A result, of a training here or elsewhere."""

    id: int
    flops: int
    params: int
    accuracy: float
    resolution: int
    trial_id: str | None = None
    role: str | None = None
    r: float | None = None
    d: float | None = None
    w: float | None = None
    ratio: float | None = None
    seconds: float | None = None
    latency_ms: float | None = None
    retracted_at: datetime | None = None
    retraction: str | None = None


@dataclass(frozen=True, kw_only=True)
class FrontNetwork(Answer):
    r: float
    d: float
    w: float
    c: float
    flops: int
    params: int
    accuracy: float
    role: str
    trial: str | None = None
    dominated: bool = False


@dataclass(frozen=True, kw_only=True)
class Front(Answer):
    """The networks that no other beats in accuracy and flops, by rising flops; fewer than five are filled up."""

    items: tuple[FrontNetwork, ...]
    hypervolume: float | None = None


@dataclass(frozen=True, kw_only=True)
class Correlation(Answer):
    pearson: float | None = None
    pearson_interval: tuple[float, ...] | None = None
    spearman: float | None = None
    spearman_interval: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Correlations(Answer):
    """Of each multiplier with flops along the front."""

    r: Correlation
    d: Correlation
    w: Correlation


@dataclass(frozen=True, kw_only=True)
class Calibration(Answer):
    """How often the truth fell inside the bands."""

    trials: int
    inside_50: float | None = None
    inside_90: float | None = None
    items: tuple[Plain, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FamilyMember(Answer):
    """One rule's network for one budget, trained with some seeds."""

    target_flops: int
    rule: str
    recipe: str
    problem: str | None = None
    multipliers: Plain | None = None
    config: Plain | None = None
    flops: int | None = None
    params: int | None = None
    mean: float | None = None
    sd: float | None = None
    accuracies: tuple[float, ...] = ()
    trials: tuple[Plain, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainedFamily(Answer):
    items: tuple[FamilyMember, ...]


@dataclass(frozen=True, kw_only=True)
class Predictor(Answer):
    """A version; `etag` is what `activate` takes to be sure that nothing has changed since it was read."""

    id: str
    architecture: str
    dataset: str
    version: int
    active: bool
    observations: int
    provenance: str
    quality: Plain = field(default_factory=dict)
    gate: Plain | None = None
    study_id: str | None = None
    points: tuple[Plain, ...] = ()
    hyperparameters: Plain | None = None
    surrogate: Plain | None = None
    created_at: datetime | None = None
    etag: str | None = None


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Answer):
    c: float
    r: float
    r_sd: float
    d: float
    d_sd: float
    accuracy: float | None = None
    accuracy_sd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Curve(Answer):
    """r(c), d(c) and accuracy(c); beyond `least` and `most` it is a guess."""

    least: float
    most: float
    items: tuple[CurvePoint, ...]


@dataclass(frozen=True, kw_only=True)
class Imported(Answer):
    imported: int


@dataclass(frozen=True, kw_only=True)
class Worker(Answer):
    name: str
    host: str
    device: str
    threads: int
    alive: bool
    trial: str | None = None
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Queue(Answer):
    queued: int
    paused: int
    running: int
    workers: int
    wait: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Health(Answer):
    status: str


@dataclass(frozen=True, kw_only=True)
class Readiness(Answer):
    """What is there: `ok`, or what is wrong with it."""

    ready: bool
    database: str
    broker: str
    workers: int
