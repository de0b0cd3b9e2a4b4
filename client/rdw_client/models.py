"""The service's responses as frozen dataclasses. Fields that a newer service adds are in `raw`."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import (
    Any,
    ClassVar,
    Generic,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from rdw_client.display import html_table, one_line, rows_of, to_dataframe
from rdw_client.errors import NotUnderstood
from rdw_client.states import ENDED, StudyState, TrialState

Json = dict[str, Any]
Sides = int | list[int]
"""The side of a square in px, or height and width."""
T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
@dataclass(frozen=True, kw_only=True)
class Model:
    """A response, or a part of one; `raw` is its JSON. Subclasses become dataclasses of the same kind."""

    summary_fields: ClassVar[tuple[str, ...]] = ()  # what `repr` and tables show, in this order; by default all fields

    raw: Json = field(repr=False, compare=False)

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True, repr=False)(cls)

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        """Show the response as a table in notebooks."""
        return html_table(self)

    def to_dataframe(self) -> Any:
        """Return a pandas data frame with a row per item, or with one row for a response without items.

        Raises: ImportError if pandas is not installed.
        """
        return to_dataframe(rows_of(self))

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Parse a JSON object.

        Raises: NotUnderstood.
        """
        if not isinstance(raw, dict):
            raise NotUnderstood(f"The response is not a valid {cls.__name__}. Does RDW_URL point at rdw?")
        fields: Json = {"raw": raw}
        for name, parse in _field_parsers(cls).items():  # type: ignore[arg-type]  # @cache wants type[Model] hashable
            if name in raw:
                fields[name] = parse(raw[name])
        try:
            return cls(**fields)
        except TypeError as error:
            raise NotUnderstood(f"The response is not a valid {cls.__name__}: {error}") from error


@cache
def _field_parsers(cls: type[Model]) -> dict[str, Callable[[Any], Any]]:
    return {name: _parser_for(hint) for name, hint in _field_types(cls).items()}


def _field_types(cls: type[Model]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls) if field.name != "raw"}


def _parser_for(hint: Any) -> Callable[[Any], Any]:
    """Return a function that converts a JSON value to the type of the hint."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        parse = _parser_for(next(hint for hint in inner if hint is not type(None)))
        return lambda value: None if value is None else parse(value)
    if origin is tuple:
        parse_item = _parser_for(inner[0])
        return lambda value: tuple(parse_item(item) for item in value)
    if isinstance(hint, type) and issubclass(hint, Model):
        return hint.from_json
    if hint is datetime:
        return lambda value: datetime.fromisoformat(value)
    return lambda value: value


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list; `next` is the cursor of the next page, or None on the last."""

    items: tuple[T, ...]
    next: str | None


class Dependents(Model):
    """What depends on a resource: the number of other resources by kind, and the ids of the first 100 of each."""

    summary_fields = ("dependent_counts",)

    dependents: dict[str, list[str]]
    dependent_counts: dict[str, int]


class Multipliers(Model):
    """Multipliers relative to the baseline. All widths in `w_interval` give the same network."""

    summary_fields = ("r", "d", "w")

    r: float
    d: float
    w: float
    r_sd: float | None = None
    d_sd: float | None = None
    w_interval: tuple[float, ...] | None = None
    w_stages: tuple[float, ...] | None = None


class Cost(Model):
    """The cost of one image; `flops` are multiply-adds of convolutions and linear layers.

    `weights_bytes` and `activation_bytes` are those on a device, by precision.
    """

    summary_fields = ("flops", "params", "peak_activation_bytes")

    flops: int
    fvcore_total: int
    params: int
    activations: int
    peak_activation_bytes: int
    weights_bytes: Json = field(default_factory=dict)
    activation_bytes: Json = field(default_factory=dict)
    by_operator: Json = field(default_factory=dict)
    stages: tuple[Json, ...] = ()
    counters: tuple[Json, ...] = ()


class Costed(Model):
    """A network and its cost."""

    summary_fields = ("config.family", "config.resolution", "cost.flops", "cost.params")

    config: Json
    cost: Cost
    num_classes: int | None = None
    in_chans: int | None = None


class PredictedAccuracy(Model):
    mean: float
    sd: float
    dataset: str


class PredictorRef(Model):
    id: str
    version: int
    observations: int
    provenance: str
    dataset: str | None = None
    study_id: str | None = None


class Note(Model):
    """A warning, such as `extrapolated`, `transferred` or `budget_missed` (`code`)."""

    code: str
    detail: str


class Estimate(Model):
    """The estimated seconds of a training on one worker; nine in ten lie between `low` and `high`."""

    seconds: float
    low: float
    high: float
    trainings: int
    basis: str = ""
    first_use_seconds: float = 0.0


class Trial(Model):
    """One network trained on one data set with one recipe and seed."""

    summary_fields = ("id", "state", "architecture", "dataset", "flops", "accuracy", "error")

    id: str
    state: str
    architecture: str
    dataset: str
    flops: int
    params: int
    seed: int
    multipliers: Json | None = None
    ratio: float | None = None
    priority: int = 0
    attempt: int = 0
    awaiting_promotion: bool = False
    owner: str | None = None
    shared: bool = False
    progress: Json | None = None
    predicted: Json | None = None
    result: Json | None = None
    error: str | None = None
    studies: list[str] = field(default_factory=list)
    config: Json | None = None
    recipe: Json | None = None
    name: str | None = None
    description: str | None = None
    archived_at: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_running(self) -> bool:
        return self.state == TrialState.RUNNING

    @property
    def accuracy(self) -> float | None:
        """The validation accuracy, or None before the trial has completed."""
        return None if self.result is None else self.result.get("accuracy")


class Recommendation(Model):
    """A network for a budget; `config` is all that is needed to build it."""

    summary_fields = (
        "architecture",
        "config.resolution",
        "multipliers.r",
        "multipliers.d",
        "multipliers.w",
        "cost.flops",
    )

    architecture: str
    rule: str
    multipliers: Multipliers
    config: Json
    cost: Cost
    num_classes: int | None = None
    in_chans: int | None = None
    target: Json | None = None
    target_flops: int | None = None
    budget_error: float | None = None
    moved: Json | None = None
    rule_reason: str | None = None
    predicted_accuracy: PredictedAccuracy | None = None
    predictor: PredictorRef | None = None
    warnings: tuple[Note, ...] = ()
    search_truncated: bool = False
    trial: Trial | None = None
    estimate: Estimate | None = None


class Family(Model):
    """A network for each of several budgets."""

    items: tuple[Recommendation, ...]
    num_classes: int | None = None
    in_chans: int | None = None


class Compared(Model):
    """One rule's network (`answer`), or the reason that the rule gives no network (`problem`)."""

    summary_fields = (
        "rule",
        "answer.multipliers.r",
        "answer.multipliers.d",
        "answer.multipliers.w",
        "answer.cost.flops",
        "problem",
    )

    rule: str
    answer: Recommendation | None = None
    problem: str | None = None


class Comparison(Model):
    """One budget met by several rules."""

    items: tuple[Compared, ...]
    target: Json | None = None
    target_flops: int | None = None
    num_classes: int | None = None
    in_chans: int | None = None


class Architecture(Model):
    """A baseline; `baseline` and `rules` are None in lists."""

    summary_fields = ("name", "family", "resolution", "flops", "params", "built_in")

    name: str
    family: str
    resolution: Sides
    flops: int
    params: int
    built_in: bool = True
    owner: str | None = None
    description: str | None = None
    archived_at: datetime | None = None
    baseline: Json | None = None
    rules: Json | None = None


class Dataset(Model):
    """A data set; `missing` says why the service cannot read it, or is None.

    It can be trained on in the state `ready`; while it is `checking`, `progress` counts the images decoded so far.
    `layout`, `splits`, `classes`, `skipped`, `samples` and `warnings` say what was understood of a folder; a list has
    them not.
    """

    summary_fields = ("name", "state", "task", "num_classes", "channels", "native_px", "missing")

    name: str
    kind: str
    num_classes: int
    channels: int
    native_px: Sides
    description: str
    task: str = "classification"
    train_images: int | None = None
    test_images: int | None = None
    owner: str | None = None
    digest: str = ""
    built_in: bool = False
    archived_at: datetime | None = None
    missing: str | None = None
    state: str = "ready"
    progress: Json | None = None
    error: str | None = None
    layout: str | None = None
    splits: tuple[Json, ...] = ()
    classes: tuple[Json, ...] = ()
    skipped: tuple[Json, ...] = ()
    samples: tuple[Json, ...] = ()
    warnings: tuple[str, ...] = ()


class Study(Model):
    """A study; `trials` counts its trials by state, and `proposed` of its `size` networks have been sampled."""

    summary_fields = ("id", "name", "state", "architecture", "dataset", "trials")

    id: str
    name: str
    state: str
    architecture: str
    dataset: str
    sampler: str
    size: int
    proposed: int
    seed: int
    trials: Json
    counts: Json = field(default_factory=dict)
    best: Json | None = None
    owner: str | None = None
    description: str | None = None
    archived_at: datetime | None = None
    created_at: datetime | None = None
    recipe: Json | None = None
    space: Json | None = None
    options: Json | None = None

    @property
    def has_started(self) -> bool:
        return self.state != StudyState.CREATED


class Suggestion(Model):
    """A network to train next outside the service."""

    summary_fields = ("id", "state", "multipliers.r", "multipliers.d", "multipliers.w", "flops")

    id: str
    client: str
    state: str
    multipliers: Multipliers
    config: Json
    flops: int
    params: int
    ratio: float
    late: bool = False
    predicted_accuracy: Json | None = None
    lease_expires_at: datetime | None = None
    reported: Json | None = None
    reported_at: datetime | None = None
    interim: list[Json] = field(default_factory=list)
    reason: str | None = None
    created_at: datetime | None = None


class TellResponse(Model):
    """A reported result; `observation` is its id, or None if it was infeasible or an interim result.

    After an interim result `go_on` says whether to continue the training.
    """

    summary_fields = ("observation", "suggestion.id", "suggestion.state")

    observation: int | None = None
    suggestion: Suggestion | None = None
    go_on: bool | None = None


class Observation(Model):
    """The measured accuracy of a network that was trained by the service or elsewhere."""

    summary_fields = ("id", "r", "d", "w", "flops", "accuracy", "role", "retracted_at")

    id: int
    flops: int
    params: int
    accuracy: float
    resolution: Sides
    trial_id: str | None = None
    role: str | None = None
    r: float | None = None
    d: float | None = None
    w: float | None = None
    ratio: float | None = None
    seconds: float | None = None
    latency_ms: float | None = None
    retracted_at: datetime | None = None
    retraction_reason: str | None = None


class FrontNetwork(Model):
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


class Front(Model):
    """The Pareto front of accuracy and flops, by rising flops; fewer than five networks are filled up."""

    items: tuple[FrontNetwork, ...]
    hypervolume: float | None = None


class Correlation(Model):
    pearson: float | None = None
    pearson_interval: tuple[float, ...] | None = None
    spearman: float | None = None
    spearman_interval: tuple[float, ...] | None = None


class Correlations(Model):
    """The correlation of each multiplier with flops along the front."""

    r: Correlation
    d: Correlation
    w: Correlation


class Calibration(Model):
    """How often the predicted bands contained the measured accuracy."""

    trials: int
    coverage_50: float | None = None
    coverage_90: float | None = None
    items: tuple[Json, ...] = ()


class FamilyMember(Model):
    """One rule's network for one budget, trained with some seeds."""

    summary_fields = ("target_flops", "rule", "recipe", "flops", "mean", "sd", "problem")

    target_flops: int
    rule: str
    recipe: str
    problem: str | None = None
    multipliers: Json | None = None
    config: Json | None = None
    flops: int | None = None
    params: int | None = None
    mean: float | None = None
    sd: float | None = None
    accuracies: tuple[float, ...] = ()
    trials: tuple[Json, ...] = ()


class TrainedFamily(Model):
    items: tuple[FamilyMember, ...]


class Predictor(Model):
    """A version of a predictor; `activate` accepts its `etag` to detect changes since it was read."""

    summary_fields = ("id", "architecture", "dataset", "version", "active", "observations")

    id: str
    architecture: str
    dataset: str
    version: int
    active: bool
    observations: int
    provenance: str
    quality: Json = field(default_factory=dict)
    gate: Json | None = None
    study_id: str | None = None
    owner: str | None = None
    points: tuple[Json, ...] = ()
    hyperparameters: Json | None = None
    surrogate: Json | None = None
    name: str | None = None
    description: str | None = None
    archived_at: datetime | None = None
    created_at: datetime | None = None
    etag: str | None = None


class CurvePoint(Model):
    c: float
    r: float
    r_sd: float
    d: float
    d_sd: float
    accuracy: float | None = None
    accuracy_sd: float | None = None


class Curve(Model):
    """r(c), d(c) and accuracy(c); outside `min_c` to `max_c` they are extrapolated."""

    min_c: float
    max_c: float
    items: tuple[CurvePoint, ...]


class Imported(Model):
    imported: int
    duplicates: int = 0
    skipped_rows: int = 0
    ignored_columns: list[str] = field(default_factory=list)


class ApiKey(Model):
    """An API key. Only `create_api_key` returns its `secret`, which `repr` and tables leave out."""

    summary_fields = ("id", "name", "scope", "state", "expires_at", "last_used_at")

    id: str
    name: str
    scope: str
    state: str
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    secret: str | None = None


class Worker(Model):
    name: str
    host: str
    device: str
    threads: int
    alive: bool
    trial: str | None = None
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None


class Queue(Model):
    queued: int
    paused: int
    running: int
    workers: int
    wait: Estimate | None = None


class Health(Model):
    status: str


class Readiness(Model):
    """Whether the service can work; `database`, `broker` and `disk` are `ok` or say what is wrong."""

    ready: bool
    database: str
    broker: str
    disk: str
    workers: int
