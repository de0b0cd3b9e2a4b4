"""The training loop: seeded, with a checkpoint after each epoch from which it resumes bit-identically."""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from app.core.trials import TrainingProgress, TrialResult, Weights
from app.data.builtin_datasets import Part
from app.data.recipes import Recipe
from worker.devices import Device, describe_processor
from worker.training import checkpoints
from worker.training.chance import ChanceTest
from worker.training.optimizer import create_optimizer, create_scheduler, freeze_body

log = logging.getLogger("rdw.worker")

Item = TypeVar("Item")

_REPORT_SECONDS = 2.0
_ESTIMATION_IMAGES = 2048  # of which the statistics of inherited batch norms are estimated


class TrainingStopped(Exception):
    """The training was asked to stop; the checkpoint of its last complete epoch remains."""


class RungReached(Exception):
    """The training has reached its rung; its checkpoint remains."""

    def __init__(self, epoch: int, accuracy: float) -> None:
        super().__init__(f"epoch {epoch}: {accuracy:.4f}")
        self.epoch, self.accuracy = epoch, accuracy


class Diverged(Exception):
    """The loss became NaN or infinite."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"The loss became NaN or infinite in epoch {epoch}, step {step}: lower the learning rate.")
        self.epoch, self.step = epoch, step


class Score(Protocol):
    """How good a network is."""

    @property
    def value(self) -> float:
        """What model selection maximises."""

    @property
    def loss(self) -> float:
        """The loss; the lower one is better if values are equal, and the training has diverged if it is not finite."""

    def history_entry(self) -> dict[str, float]:
        """Return the metrics kept for each epoch."""

    def to_json(self) -> dict[str, Any]:
        """Return all metrics as plain data of bounded size."""

    def chance(self) -> ChanceTest | None:
        """Compare the network with one that has learned nothing; None if that is not defined."""

    def write_files(self, folder: Path) -> None:
        """Write to the folder what is too large for `to_json`."""


@dataclass(frozen=True)
class BatchIndices:
    """A training batch: the indices of its images, and the seed of their augmentation."""

    images: Tensor
    seed: int


class Task(Protocol):
    """What is trained: a network with its data and loss."""

    metric: str
    train_images: int
    identity: dict[str, Any]  # what determines the result, besides recipe and seed
    provenance: dict[str, Any]  # which images were used

    def build(self) -> nn.Module:
        """Build the network with weights from torch's global random generator."""

    def trainable(self, network: nn.Module) -> nn.Module:
        """Return the module whose parameters are trained: the network, or one that contains it and more."""

    def prepare(
        self, network: nn.Module, order: list[BatchIndices], check_stop: Callable[[], None]
    ) -> dict[str, dict[str, Any]]:
        """Give a new network its initial weights and check its teacher; return the reports `init` and `teacher`.

        `order` are the batches on whose images the statistics of batch norms are estimated.
        """

    def batches(self, order: list[BatchIndices]) -> Iterator[Any]:
        """Yield augmented batches, which are the same for the same order."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss, and sums of metrics over the images of the batch."""

    def score(self, network: nn.Module, part: Part, check_stop: Callable[[], None]) -> Score:
        """Score the network on a part; `check_stop` is called before each batch and may raise."""


@dataclass
class TrainingRun:
    """The state of a training. `identity` is what determines its result: a checkpoint of another one is not used."""

    identity: dict[str, Any]
    device: Device
    network: nn.Module
    trainable: nn.Module
    recipe: Recipe
    optimizer: torch.optim.Optimizer
    scheduler: Any
    ema: ModelEmaV3 | None
    steps_per_epoch: int
    environment: dict[str, Any]
    previous_environments: list[dict[str, Any]] = field(default_factory=list)
    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    start: dict[str, dict[str, Any]] = field(default_factory=dict)  # the reports of `Task.prepare`

    def to_checkpoint(self) -> dict[str, Any]:
        return {
            "of": self.identity,
            "network": self.trainable.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else None,
            "random": self.device.random_state(),
            "environment": self.environment,
            "earlier": self.previous_environments,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "history": self.history,
            "start": self.start,
        }

    def resume(self, checkpoint: dict[str, Any]) -> None:
        self.trainable.load_state_dict(checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        if self.ema:
            self.ema.module.load_state_dict(checkpoint["ema"])
        self.device.restore_random_state(checkpoint["random"])
        self.previous_environments = checkpoint["earlier"]
        if checkpoint["environment"] != self.environment:
            self.previous_environments = [*checkpoint["earlier"], checkpoint["environment"]]
        self.epoch, self.seconds, self.history = (checkpoint[name] for name in ("epoch", "seconds", "history"))
        self.start = checkpoint.get("start", {})  # earlier releases had none


def train(
    task: Task,
    recipe: Recipe,
    seed: int,
    *,
    device: Device,
    folder: Path,
    weights_file: Path,
    on_progress: Callable[[TrainingProgress], None],
    should_stop: Callable[[], bool],
    until_epoch: int | None = None,
) -> TrialResult:
    """Train to the last epoch, from the folder's checkpoint if there is one, and save the weights.

    The same arguments give the same bits on the same machine with the same number of threads, even if the training was
    stopped and resumed. With `until_epoch`, a training that is not complete after that epoch raises RungReached.
    Raises: RungReached, TrainingStopped, Diverged, InvalidNetwork; DataError if images have become unreadable;
    SourceError if the initial weights or the teacher cannot be used.
    """
    torch.use_deterministic_algorithms(True)
    device.reset_peak_memory()
    run = _start_run(task, recipe, seed, device)
    file = folder / "checkpoint.pt"
    checkpoint = checkpoints.load(file)

    def check_stop() -> None:
        if should_stop():
            raise TrainingStopped

    if checkpoint is not None and checkpoint["of"] == run.identity:
        run.resume(checkpoint)
        log.info("resumed after epoch %s of %s", run.epoch, recipe.epochs)
    else:
        _prepare(run, task, seed, check_stop)
    while run.epoch < recipe.epochs:
        if until_epoch is not None and run.epoch >= until_epoch:
            raise RungReached(run.epoch, run.history[-1]["validation_accuracy"])
        _train_epoch(run, task, seed, on_progress, check_stop)
        checkpoints.save(file, run.to_checkpoint(), keep_previous=True)
        on_progress(_epoch_progress(run, task.train_images))
    return _finish(run, task, weights_file, check_stop)


def _start_run(task: Task, recipe: Recipe, seed: int, device: Device) -> TrainingRun:
    identity = {**task.identity, "recipe": recipe.determining_options(), "seed": seed}
    torch.manual_seed(seed)
    network = device.place_network(task.build())
    trainable = task.trainable(network)
    if trainable is not network:
        trainable = device.place_network(trainable)
    optimizer = create_optimizer(trainable, recipe)
    # A last batch of one image is skipped: batch norm cannot normalise a single value.
    steps = task.train_images // recipe.batch_size + (task.train_images % recipe.batch_size > 1)
    return TrainingRun(
        identity,
        device,
        network,
        trainable,
        recipe,
        optimizer,
        create_scheduler(optimizer, recipe, steps),
        ModelEmaV3(network, decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None,
        steps,
        _describe_environment(device, seed, task.provenance),
    )


def _prepare(run: TrainingRun, task: Task, seed: int, check_stop: Callable[[], None]) -> None:
    order = _shuffle_batches(run, task.train_images, seed)
    run.start = task.prepare(run.network, order[: max(1, _ESTIMATION_IMAGES // run.recipe.batch_size)], check_stop)
    if run.ema and "init" in run.start:
        run.ema.module.load_state_dict(run.network.state_dict())


def run_checks(batches: Iterable[Item], check_stop: Callable[[], None]) -> Iterator[Item]:
    """Yield the batches, and call `check_stop`, which may raise, before each."""
    for batch in batches:
        check_stop()
        yield batch


def _shuffle_batches(run: TrainingRun, images: int, seed: int) -> list[BatchIndices]:
    """Return the batches of the current epoch, which depend on the seed and the epoch only."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + run.epoch)
    order = torch.randperm(images, generator=generator).split(run.recipe.batch_size)[: run.steps_per_epoch]
    seeds = torch.randint(2**62, (run.steps_per_epoch,), generator=generator).tolist()
    return [BatchIndices(*batch) for batch in zip(order, seeds, strict=True)]


def _train_epoch(
    run: TrainingRun,
    task: Task,
    seed: int,
    on_progress: Callable[[TrainingProgress], None],
    check_stop: Callable[[], None],
) -> None:
    """Train on all training images once, then score the network on the validation part."""
    order = _shuffle_batches(run, task.train_images, seed)
    start = last_report = time.monotonic()
    metrics = _EpochMetrics(run)
    run.network.train()
    if run.recipe.freeze_epochs:
        freeze_body(run.network, is_frozen=run.epoch < run.recipe.freeze_epochs)
    for step, (indices, batch) in enumerate(zip(order, task.batches(order), strict=True)):
        check_stop()
        total_step = run.epoch * run.steps_per_epoch + step
        run.scheduler.step_update(total_step)
        with run.device.autocast():
            loss, sums = task.loss(run.network, batch)
        metrics.add(loss.detach(), sums, len(indices.images))
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        run.optimizer.step()
        if run.ema:
            run.ema.update(run.network, step=total_step)
        now = time.monotonic()
        if now - last_report > _REPORT_SECONDS:
            last_report = now
            on_progress(_step_progress(run, step + 1, metrics.means()["loss"], metrics.images / (now - start)))
    means = metrics.means()
    run.seconds += time.monotonic() - start
    run.epoch += 1
    score = task.score(run.network, "validation", check_stop)
    if not math.isfinite(score.loss):  # the last update made the network diverge
        raise Diverged(run.epoch, run.steps_per_epoch)
    run.history.append(
        {
            "epoch": run.epoch,
            **{f"train_{name}": value for name, value in means.items()},
            **{f"validation_{name}": value for name, value in score.history_entry().items()},
        }
    )


class _EpochMetrics:
    """Sums the losses and metrics of an epoch on the device, so that a GPU rarely has to be waited for."""

    def __init__(self, run: TrainingRun) -> None:
        self._run, self.images, self._steps = run, 0, 0
        self._unchecked_losses: list[Tensor] = []
        self._sums: dict[str, Tensor] = {}

    def add(self, loss: Tensor, sums: dict[str, Tensor], images: int) -> None:
        """Add a step. Raises: Diverged, possibly some steps late."""
        self._unchecked_losses.append(loss)
        self._steps, self.images = self._steps + 1, self.images + images
        for name, value in {"loss": loss.double() * images, **sums}.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        if len(self._unchecked_losses) >= self._run.device.loss_check_interval:
            self._check_losses()

    def means(self) -> dict[str, float]:
        """Return the means per image. Raises: Diverged."""
        self._check_losses()
        return {name: float(total) / self.images for name, total in self._sums.items()}

    def _check_losses(self) -> None:
        for step, loss in enumerate(self._unchecked_losses, self._steps - len(self._unchecked_losses) + 1):
            if not math.isfinite(loss.item()):
                raise Diverged(self._run.epoch + 1, step)
        self._unchecked_losses.clear()


def _finish(run: TrainingRun, task: Task, weights_file: Path, check_stop: Callable[[], None]) -> TrialResult:
    """Select the raw or averaged weights on the validation part, then score them on the test part."""
    networks: list[tuple[Weights, nn.Module]] = [("raw", run.network)]
    if run.ema:
        networks.append(("ema", run.ema.module))
    scored = [(task.score(network, "validation", check_stop), weights, network) for weights, network in networks]
    score, weights, network = max(scored, key=lambda candidate: (candidate[0].value, -candidate[0].loss))
    others: dict[str, float] = {name: other.value for other, name, _ in scored if name != weights}
    test_score = task.score(network, "test", check_stop)
    checkpoints.save(weights_file, network.state_dict())
    test_score.write_files(weights_file.parent)
    chance = test_score.chance()
    previous = {"earlier": run.previous_environments} if run.previous_environments else {}
    return TrialResult(
        metric=task.metric,
        accuracy=score.value,
        score=score.to_json(),
        test=test_score.to_json(),
        weights=weights,
        other=others or None,
        better_than_chance=chance.is_better if chance else None,
        chance={"accuracy": chance.accuracy, "p_value": chance.p_value} if chance else None,
        warnings=[chance.warning] if chance and chance.warning else None,
        images_per_second=run.recipe.epochs * task.train_images / max(run.seconds, 1e-9),
        peak_memory_bytes=run.device.peak_memory(),
        seconds=run.seconds,
        history=run.history,
        crop_pct=run.recipe.crop_pct,
        init=run.start.get("init"),
        teacher=run.start.get("teacher"),
        environment={**run.environment, **previous},
    )


def _epoch_progress(run: TrainingRun, images: int) -> TrainingProgress:
    """Return the progress at the end of an epoch."""
    last, rate = run.history[-1], run.epoch * images / max(run.seconds, 1e-9)
    seconds_left = (run.recipe.epochs - run.epoch) * images / rate
    loss, accuracy, steps = last["train_loss"], last["validation_accuracy"], run.steps_per_epoch
    return TrainingProgress(run.epoch, run.recipe.epochs, steps, steps, loss, accuracy, rate, seconds_left)


def _step_progress(run: TrainingRun, step: int, loss: float, rate: float) -> TrainingProgress:
    """Return the progress within an epoch."""
    steps_left = (run.recipe.epochs - run.epoch) * run.steps_per_epoch - step
    seconds_left = steps_left * run.recipe.batch_size / rate
    return TrainingProgress(run.epoch, run.recipe.epochs, step, run.steps_per_epoch, loss, None, rate, seconds_left)


def _describe_environment(device: Device, seed: int, provenance: dict[str, Any]) -> dict[str, Any]:
    packages = {name: version(name) for name in ("rdw", "torch", "timm", "numpy")}
    return {
        "python": platform.python_version(),
        **packages,
        "processor": describe_processor(),
        **device.describe(),
        "threads": torch.get_num_threads(),
        "seed": seed,
        **provenance,
    }
