"""A trial's value types: states, events, progress and result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal

Weights = Literal["raw", "ema"]


class TrialState(StrEnum):
    """The state of a trial; its transitions are in `services/trials/lifecycle.py`."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EventKind(StrEnum):
    """What an event records: a change of state, progress, or a result that came after the lease was lost."""

    STATE = "state"
    PROGRESS = "progress"
    SUPERSEDED = "superseded"


class AttemptOutcome(StrEnum):
    """How a worker's attempt at a trial ended: with the trial itself, or without it."""

    COMPLETED = TrialState.COMPLETED.value
    FAILED = TrialState.FAILED.value
    CANCELLED = TrialState.CANCELLED.value
    LOST = "lost"
    RELEASED = "released"
    REACHED_RUNG = "reached_rung"


class Progress:
    """A trial's progress: `ReadingProgress` while its images are read, then `TrainingProgress`."""

    def to_json(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Progress:
        if plain.get("phase") == ReadingProgress.phase:
            return ReadingProgress(plain["images"], plain["total"])
        return TrainingProgress(**{f.name: plain[f.name] for f in fields(TrainingProgress) if f.name in plain})


@dataclass(frozen=True)
class ReadingProgress(Progress):
    """The worker is reading the data set; `images` of its `total` images are loaded."""

    images: int
    total: int

    phase = "reading"

    def to_json(self) -> dict[str, Any]:
        return {"phase": self.phase, **asdict(self)}


@dataclass(frozen=True)
class TrainingProgress(Progress):
    """Progress of training: `epoch` counts completed epochs; `validation_accuracy` is in the task's metric."""

    epoch: int
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    train_loss: float | None = None
    validation_accuracy: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None

    phase = "training"

    def to_json(self) -> dict[str, Any]:
        return {"phase": self.phase, **asdict(self)}


@dataclass(frozen=True)
class RungAccuracy:
    """The validation accuracy at a rung of successive halving."""

    epoch: int
    accuracy: float

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RungAccuracy:
        return cls(plain["epoch"], plain["accuracy"])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Latency:
    """Latency of one image in onnxruntime, in milliseconds, on one thread of the worker's machine over several runs."""

    median_ms: float
    p95_ms: float
    runs: int
    threads: int
    batch: int
    runtime: str


@dataclass(frozen=True)
class EstimateError:
    """The training time estimated beforehand, in seconds, and the signed relative error of that estimate."""

    seconds: float
    error: float


@dataclass(frozen=True)
class TrialResult:
    """The result of a training and of its export.

    `accuracy` is the quantity that model selection maximised, in `metric`. `score` is on the validation part, for the
    selected weights; the metrics on the test part (`test`) are only reported. Their keys depend on the task.
    """

    accuracy: float
    seconds: float
    environment: dict[str, Any]
    metric: str | None = None
    score: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)
    weights: Weights | None = None
    other: dict[str, float] | None = None  # validation metrics of the weights not selected, if an average was kept
    better_than_chance: bool | None = None  # on the test part; None if chance is not defined for the metric
    chance: dict[str, float] | None = None  # the accuracy of chance, and the p-value of being better than it
    warnings: list[str] | None = None
    images_per_second: float | None = None
    peak_memory_bytes: int | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    latency: Latency | None = None
    operators: list[str] | None = None  # of the ONNX model
    detector: dict[str, int] | None = None  # cost of the whole detector
    export_error: str | None = None
    estimate: EstimateError | None = None
    crop_pct: float | None = None  # of the evaluation; None in results from before it was recorded
    init: dict[str, Any] | None = None  # what the network inherited; None for random weights
    teacher: dict[str, Any] | None = None  # the teacher and its scores on the validation part

    def to_json(self) -> dict[str, Any]:
        """Convert to a flat object: keys of the test part start with `test_`; missing optional values are left out."""
        plain = asdict(self)
        score, test = plain.pop("score"), plain.pop("test")
        always = {name: plain.pop(name) for name in _TRAINED}
        exported = {name: value for name, value in plain.items() if value is not None}
        return {**score, **{f"{_TEST}{name}": value for name, value in test.items()}, **always, **exported}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> TrialResult:
        """Read the output of `to_json`; keys missing from older results become None."""
        own = {f.name: plain[f.name] for f in fields(cls) if f.name in plain}
        test = {name.removeprefix(_TEST): value for name, value in plain.items() if name.startswith(_TEST)}
        others = {name: value for name, value in plain.items() if name not in own and not name.startswith(_TEST)}
        latency, estimate = plain.get("latency"), plain.get("estimate")
        return cls(
            **{
                **own,
                "score": {"accuracy": plain["accuracy"], **others},
                "test": test,
                "latency": None if latency is None else Latency(**latency),
                "estimate": None if estimate is None else EstimateError(**estimate),
            }
        )


@dataclass(frozen=True)
class ArtifactFile:
    """The SHA-256 (hex) and the size in bytes of an artifact."""

    sha256: str
    size: int


@dataclass(frozen=True)
class TrialArtifacts:
    """The artifacts of a completed trial: the token of the attempt that wrote them, and the files by name."""

    token: str
    files: Mapping[str, ArtifactFile]

    def to_json(self) -> dict[str, Any]:
        return {"token": self.token, "files": {name: asdict(file) for name, file in self.files.items()}}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> TrialArtifacts:
        return cls(plain["token"], {name: ArtifactFile(**file) for name, file in plain["files"].items()})


_TEST = "test_"
_TRAINED = (
    "metric", "accuracy", "weights", "other", "images_per_second", "peak_memory_bytes", "seconds", "history",
    "environment",
)  # fmt: skip
