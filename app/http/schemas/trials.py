"""Schemas of trials."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, computed_field

from app.core.trials import AttemptOutcome, TrialState
from app.data.builtin_datasets import Task, task_of
from app.data.recipes import Recipe
from app.http.schemas.architectures import ConfigJson
from app.http.schemas.common import DescribedBy, Name, Owner, Priority, RecipeOrPreset, ResponseModel, RowId, Seed
from app.http.schemas.cost import MultipliersJson, NetworkRef

if TYPE_CHECKING:
    State = TrialState
    Outcome = AttemptOutcome
else:  # the values inline: as an enum they would be a component of their own in the OpenAPI document
    State, Outcome = (Literal[tuple(member.value for member in kind)] for kind in (TrialState, AttemptOutcome))


RecipeJson = Annotated[dict[str, Any], DescribedBy(Recipe)]


def _plain(value: Any) -> Any:
    return value.to_json() if hasattr(value, "to_json") else value


class ReadingProgressItem(ResponseModel):
    """Progress while the worker reads the data set."""

    phase: Literal["reading"] = Field(description="What the worker does.")
    images: int = Field(description="Number of images read so far.")
    total: int = Field(description="Number of images to read.")


class TrainingProgressItem(ResponseModel):
    """Progress of a training."""

    phase: Literal["training"] = Field(description="What the worker does.")
    epoch: int = Field(description="Number of completed epochs.")
    epochs: int | None = Field(description="Number of epochs of the recipe.")
    step: int | None = Field(description="Number of completed steps of the epoch.")
    steps: int | None = Field(description="Number of steps per epoch.")
    train_loss: float | None = Field(description="Mean training loss.")
    validation_accuracy: float | None = Field(description="Validation accuracy of the last epoch, from 0 to 1.")
    images_per_second: float | None = Field(description="Throughput of the training.")
    seconds_left: float | None = Field(description="Estimated remaining duration.")


class PredictionItem(ResponseModel):
    """An accuracy predicted before a training."""

    mean: float = Field(description="Predicted accuracy from 0 to 1.")
    sd: float = Field(description="Standard deviation of the prediction.")
    predictor: str | None = Field(description="Id of the predictor; null if it was not stored.")


class RungItem(ResponseModel):
    """The validation accuracy at a rung."""

    epoch: int = Field(description="Epoch of the rung.")
    accuracy: float = Field(description="Validation accuracy from 0 to 1.")


class LatencyItem(ResponseModel):
    """The latency of one image in onnxruntime on the worker's machine."""

    median_ms: float = Field(description="Median in milliseconds.")
    p95_ms: float = Field(description="95th percentile in milliseconds.")
    runs: int = Field(description="Number of runs.")
    threads: int = Field(description="Number of threads.")
    batch: int = Field(description="Number of images per run.")
    runtime: str = Field(description="Name and version of the runtime.")


class EstimateErrorItem(ResponseModel):
    """The estimate before the training, compared with the duration."""

    seconds: float = Field(description="Estimated seconds.")
    error: float = Field(description="Signed relative error of the estimate.")


class ChanceItem(ResponseModel):
    """Guessing the most frequent class each time, on the test part."""

    accuracy: float = Field(description="Accuracy of such guesses, from 0 to 1.")
    p_value: float = Field(description="Probability that such guesses are at least as good as the network.")


class TrialResultItem(ResponseModel):
    """The result of a training and its export. Further metrics depend on the task.

    Metrics on the test part start with `test_`.
    """

    model_config = ConfigDict(extra="allow")

    accuracy: float = Field(description="Validation accuracy of the selected weights, in `metric`, from 0 to 1.")
    metric: str | None = Field(description="Name of the metric of `accuracy`.")
    seconds: float = Field(description="Duration of the training.")
    weights: Literal["raw", "ema"] | None = Field(description="Selected weights: `raw`, or `ema` (moving average).")
    other: dict[str, float] | None = Field(description="Validation metrics of the weights that were not selected.")
    better_than_chance: bool | None = Field(
        None, description="Whether the classifier is significantly (5 %) better than chance on the test part."
    )
    chance: ChanceItem | None = Field(None, description="What chance achieves on the test part.")
    warnings: list[str] | None = Field(None, description="What is wrong with the result, in words.")
    images_per_second: float | None = Field(description="Throughput of the training.")
    peak_memory_bytes: int | None = Field(description="Peak memory of the training.")
    history: list[dict[str, float | None]] = Field(description="Metrics by epoch.")
    environment: dict[str, Any] = Field(description="Software and hardware of the worker.")
    latency: LatencyItem | None = Field(None, description="Latency of the exported model.")
    operators: list[str] | None = Field(None, description="Operators of the ONNX model.")
    detector: dict[str, int] | None = Field(None, description="Cost of the whole detector.")
    export_error: str | None = Field(None, description="Why the export failed.")
    estimate: EstimateErrorItem | None = Field(None, description="The estimate before the training.")
    crop_pct: float | None = Field(None, description="Share of the images' side that was evaluated: see the recipe.")
    init: dict[str, Any] | None = Field(
        None, description="What was inherited from which source: parameters, and blocks and channels of each stage."
    )
    teacher: dict[str, Any] | None = Field(
        None, description="The teacher, its SHA-256, and its scores on the validation part before the training."
    )


_FromValue = BeforeValidator(_plain)  # converts a domain value to JSON

ProgressJson = Annotated[dict[str, Any], _FromValue, DescribedBy(ReadingProgressItem | TrainingProgressItem)]
PredictionJson = Annotated[dict[str, Any], _FromValue, DescribedBy(PredictionItem)]
RungJson = Annotated[dict[str, Any], _FromValue, DescribedBy(RungItem)]
TrialResultJson = Annotated[dict[str, Any], _FromValue, DescribedBy(TrialResultItem)]


class EstimateItem(ResponseModel):
    """The estimated duration of a training on one worker; validation and export come on top."""

    seconds: float = Field(description="Estimated seconds, with `first_use_seconds`.")
    low: float = Field(description="Lower end of the 90 % interval in seconds.")
    high: float = Field(description="Upper end of the 90 % interval in seconds.")
    trainings: int = Field(description="Number of completed trainings that the estimate is based on; 0: a rough guess.")
    basis: str = Field(description="What the estimate is based on, as a sentence.")
    first_use_seconds: float = Field(
        description="Seconds of it that a worker needs to import its libraries before its first training."
    )


class EstimateResponse(ResponseModel):
    """The estimate for a request with `validate_only`."""

    estimate: EstimateItem = Field(description="Estimated duration of the training.")


class NewTrial(NetworkRef):
    """A network to train. A config must have the number of classes of the data set."""

    dataset: Name = Field(description="Name of the data set.")
    recipe: RecipeOrPreset | None = Field(
        None, description="Recipe, or name of a preset; null: `quick`, for detection `detection-quick`."
    )
    seed: Seed = Field(0, description="Seed of the training.")
    study: RowId | None = Field(None, description="Id of a study that the trial is added to.")
    priority: Priority = 0
    validate_only: bool = Field(False, description="Validate and estimate the training without starting it.")


class TrialItem(ResponseModel):
    """One network trained on one data set with one recipe and seed."""

    id: str = Field(description="Id of the trial.")
    owner: Owner
    shared: bool = Field(
        description="Whether another key has requested it as well: then only a key of scope `admin` may cancel it."
    )
    name: str | None = Field(description="Name that it was given.")
    description: str | None = Field(description="Description that it was given.")
    archived_at: datetime | None = Field(description="When it was archived; null if it was not.")
    state: State = Field(description="State of the trial.")
    architecture: str = Field(description="Name of the baseline, or of the family of a config.")
    dataset: str = Field(description="Name of the data set.")
    multipliers: MultipliersJson | None = Field(description="Null if a config was requested.")
    flops: int = Field(description="Multiply-adds of convolutions and linear layers for one image.")
    params: int = Field(description="Number of parameters.")
    ratio: float | None = Field(description="FLOPs divided by those of the baseline; null if a config was requested.")
    seed: int = Field(description="Seed of the training.")
    priority: int = Field(description="Priority in the queue: higher first, then older first.")
    attempt: int = Field(
        description="Number of attempts since it was last requested. It is retried if its worker dies."
    )
    cancel_requested: bool = Field(description="Whether the worker was requested to stop.")
    until_epoch: int | None = Field(
        description="Epoch of the next rung of successive halving; null: it trains to the end."
    )
    awaiting_promotion: bool = Field(description="Whether it has reached the rung and waits for its promotion.")
    rungs: list[RungJson] | None = Field(description="Validation accuracies at the rungs so far.")
    progress: ProgressJson | None = Field(description="Progress of the training; null before it starts.")
    predicted: PredictionJson | None = Field(description="Accuracy predicted before the training.")
    result: TrialResultJson | None = Field(description="Result of the training; null until it has completed.")
    error: str | None = Field(description="Why it failed or was stopped.")
    created_at: datetime = Field(description="When it was first requested.")
    started_at: datetime | None = Field(description="When its first attempt started.")
    finished_at: datetime | None = Field(description="When it ended.")

    @computed_field(description="What is learned: classification or detection, depending on the data set.")  # type: ignore[prop-decorator]
    @property
    def kind(self) -> Task:
        return task_of(self.dataset)


class AttemptItem(ResponseModel):
    """One run of the trial by one worker."""

    worker: str = Field(description="Name of the worker.")
    started_at: datetime = Field(description="When it started.")
    ended_at: datetime | None = Field(description="When it ended; null while it runs.")
    outcome: Outcome | None = Field(
        description="How it ended; null while it runs. `lost`: the worker died or sent no heartbeats. `released`: the "
        "worker was stopped. `reached_rung`: it reached a rung of successive halving."
    )
    reason: str | None = Field(description="Why it ended so.")


TrialJson = Annotated[dict[str, Any], DescribedBy(TrialItem)]


class TrialDetail(TrialItem):
    """A trial with its config, recipe and attempts."""

    config: ConfigJson = Field(description="The network; sufficient to build it.")
    recipe: RecipeJson = Field(description="The recipe of the training.")
    dataset_digest: str = Field(description="SHA-256 of the images and labels.")
    fingerprint: str = Field(description="SHA-256 of network, data, recipe and seed.")
    studies: list[str] = Field(description="Ids of the studies that it belongs to, oldest first; at most 100.")
    request_id: str | None = Field(description="`X-Request-ID` of the request that created it.")
    attempts: list[AttemptItem] = Field(description="All attempts, oldest first.")
    log: list[str] | None = Field(description="Last log lines of the worker; null unless it failed.")
