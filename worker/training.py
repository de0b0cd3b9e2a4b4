"""The training loop: seeded, checkpointed after each epoch, resumed from there to the same bits."""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from app.datasets import Part
from app.recipes import Recipe
from worker import checkpoints
from worker.devices import Device
from worker.recipe import optimiser, schedule

log = logging.getLogger("rdw.worker")

_REPORT_SECONDS = 2.0

Weights = Literal["raw", "ema"]


class Stopped(Exception):
    """The training was told to stop; the checkpoint of its last whole epoch stays."""


class Reached(Exception):
    """The training has come to the epoch that it was to go to first; its checkpoint stays."""

    def __init__(self, epoch: int, accuracy: float) -> None:
        super().__init__(f"epoch {epoch}: {accuracy:.4f}")
        self.epoch, self.accuracy = epoch, accuracy


class Diverged(Exception):
    """The loss is no number any more."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"The loss became NaN or infinite in epoch {epoch}, step {step}: lower the learning rate.")
        self.epoch, self.step = epoch, step


@dataclass(frozen=True)
class Progress:
    """How far a training is. `epoch` counts whole ones; `validation_accuracy` (by the metric) comes with each."""

    epoch: int
    epochs: int
    step: int
    steps: int
    train_loss: float
    validation_accuracy: float | None
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Result:
    """`score` is on validation, of the weights named; the test part is reported and nothing more."""

    metric: str
    accuracy: float  # what selection maximised, by that metric
    score: dict[str, Any]
    test: dict[str, Any]
    weights: Weights
    other: dict[str, float] | None  # on validation, of the weights not chosen, where an average was kept
    images_per_second: float
    peak_memory_bytes: int
    seconds: float
    history: list[dict[str, float]]
    environment: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Flat: the figures of the test part have its name before theirs."""
        plain = asdict(self)
        score, test = plain.pop("score"), plain.pop("test")
        return {**score, **{f"test_{name}": value for name, value in test.items()}, **plain}


class Score(Protocol):
    """How good a network is."""

    @property
    def value(self) -> float: ...  # what selection maximises
    @property
    def loss(self) -> float: ...  # finite, or the training has diverged; of equal values the lower one is better
    def entry(self) -> dict[str, float]: ...  # what an epoch's history has of it
    def report(self) -> dict[str, Any]: ...  # all of it, as plain data


@dataclass(frozen=True)
class Drawn:
    """A batch of an epoch's order: training images by their indices, and the seed of their augmentation."""

    images: Tensor
    seed: int


class Task(Protocol):
    """What is learned: a network, its data and how wrong it is."""

    metric: str
    images: int  # that it trains on
    identity: dict[str, Any]  # what decides the result, beside recipe and seed
    provenance: dict[str, Any]  # which images a result was obtained with

    def build(self) -> nn.Module:
        """The network, its weights drawn from torch's generator."""

    def batches(self, order: list[Drawn]) -> Iterator[Any]:
        """Augmented batches, the same for the same order."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss, and what is counted over the images of the batch."""

    def score(self, network: nn.Module, part: Part, look: Callable[[], None]) -> Score:
        """How good it is on a part; `look` is called before each batch and may raise."""


@dataclass
class Run:
    """A training under way, all of its state in one place. `of` says what decides the result."""

    of: dict[str, Any]
    device: Device
    network: nn.Module
    recipe: Recipe
    optimizer: torch.optim.Optimizer
    scheduler: Any
    ema: ModelEmaV3 | None
    steps: int  # an epoch
    environment: dict[str, Any]
    earlier: list[dict[str, Any]] = field(default_factory=list)  # other environments that it was trained in before
    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "of": self.of,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else None,
            "random": self.device.random_state(),
            "environment": self.environment,
            "earlier": self.earlier,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "history": self.history,
        }

    def resume(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            self.ema.module.load_state_dict(state["ema"])
        self.device.restore(state["random"])
        if state["environment"] != self.environment:
            self.earlier = [*state["earlier"], state["environment"]]
        else:
            self.earlier = state["earlier"]
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]


def train(
    task: Task,
    recipe: Recipe,
    seed: int,
    *,
    device: Device,
    folder: Path,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    until_epoch: int | None = None,
) -> Result:
    """Train to the end, from the folder's checkpoint where there is one; weights are left in `folder/weights.pt`.

    The same arguments give the same bits on the same machine and number of threads, stopped in between or not.
    With `until_epoch` it goes that far and no further, unless that is its end.
    Raises: Reached, Stopped, Diverged, InvalidNetwork; DataError where images have become unreadable.
    """
    torch.use_deterministic_algorithms(True)
    device.forget_peak()
    run = _begun(task, recipe, seed, device)
    checkpoint = folder / "checkpoint.pt"
    state = checkpoints.load(checkpoint)
    if state is not None and state["of"] == run.of:
        run.resume(state)
        log.info("resumed after epoch %s of %s", run.epoch, recipe.epochs)

    def look() -> None:
        if should_stop():
            raise Stopped

    while run.epoch < recipe.epochs:
        if until_epoch is not None and run.epoch >= until_epoch:
            raise Reached(run.epoch, run.history[-1]["validation_accuracy"])
        _epoch(run, task, seed, on_progress, look)
        checkpoints.save(checkpoint, run.state(), keep_before=True)
        on_progress(_whole_epoch(run, task.images))
    return _finished(run, task, folder, look)


def _begun(task: Task, recipe: Recipe, seed: int, device: Device) -> Run:
    of = {**task.identity, "recipe": recipe.decisive(), "seed": seed}
    torch.manual_seed(seed)
    network = device.place(task.build())
    optimizer = optimiser(network, recipe)
    # A last batch of one image is left out: batch norm has nothing to normalise over.
    steps = task.images // recipe.batch_size + (task.images % recipe.batch_size > 1)
    ema = ModelEmaV3(network, decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
    environment = _environment(device, seed, task.provenance)
    return Run(
        of, device, network, recipe, optimizer, schedule(optimizer, recipe, steps), ema, steps, environment=environment
    )


def _order(run: Run, images: int, seed: int) -> list[Drawn]:
    """The batches of this seed and epoch."""
    random = torch.Generator().manual_seed(seed * 1_000_003 + run.epoch)
    order = torch.randperm(images, generator=random).split(run.recipe.batch_size)[: run.steps]
    seeds = torch.randint(2**62, (run.steps,), generator=random).tolist()
    return [Drawn(*batch) for batch in zip(order, seeds, strict=True)]


def _epoch(run: Run, task: Task, seed: int, on_progress: Callable[[Progress], None], look: Callable[[], None]) -> None:
    """One pass over the training images, then a look at the validation images."""
    order = _order(run, task.images, seed)
    began = reported = time.monotonic()
    tally = _Tally(run)
    run.network.train()
    for step, (drawn, batch) in enumerate(zip(order, task.batches(order), strict=True)):
        look()
        run.scheduler.step_update(run.epoch * run.steps + step)
        with run.device.autocast():
            loss, counts = task.loss(run.network, batch)
        tally.add(loss.detach(), counts, len(drawn.images))
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        run.optimizer.step()
        if run.ema:
            run.ema.update(run.network, step=run.epoch * run.steps + step)
        now = time.monotonic()
        if now - reported > _REPORT_SECONDS:
            reported = now
            on_progress(_within_epoch(run, step + 1, tally.means()["loss"], tally.images / (now - began)))
    trained = tally.means()
    run.seconds += time.monotonic() - began
    run.epoch += 1
    score = task.score(run.network, "validation", look)
    if not math.isfinite(score.loss):  # the last step's update may be the one too many
        raise Diverged(run.epoch, run.steps)
    run.history.append(
        {
            "epoch": run.epoch,
            **{f"train_{name}": value for name, value in trained.items()},
            **{f"validation_{name}": value for name, value in score.entry().items()},
        }
    )


class _Tally:
    """Losses and counts of an epoch, kept where they were computed, so that a GPU is seldom waited for."""

    def __init__(self, run: Run) -> None:
        self._run, self.images, self._steps = run, 0, 0
        self._losses: list[Tensor] = []
        self._sums: dict[str, Tensor] = {}

    def add(self, loss: Tensor, counts: dict[str, Tensor], images: int) -> None:
        """Raises: Diverged, now or some steps later."""
        self._losses.append(loss)
        self._steps, self.images = self._steps + 1, self.images + images
        for name, count in {"loss": loss.double() * images, **counts}.items():
            self._sums[name] = self._sums[name] + count if name in self._sums else count
        if len(self._losses) >= self._run.device.look_every:
            self._look()

    def means(self) -> dict[str, float]:
        """By image. Raises: Diverged."""
        self._look()
        return {name: float(total) / self.images for name, total in self._sums.items()}

    def _look(self) -> None:
        for step, loss in enumerate(self._losses, self._steps - len(self._losses) + 1):
            if not math.isfinite(loss.item()):
                raise Diverged(self._run.epoch + 1, step)
        self._losses.clear()


def _finished(run: Run, task: Task, folder: Path, look: Callable[[], None]) -> Result:
    """Choose between raw and averaged weights by validation, then look at the test part, once."""
    networks: list[tuple[Weights, nn.Module]] = [("raw", run.network)]
    if run.ema:
        networks.append(("ema", run.ema.module))
    scored = [(task.score(network, "validation", look), weights, network) for weights, network in networks]
    score, weights, network = max(scored, key=lambda one: (one[0].value, -one[0].loss))
    others = {name: other.value for other, name, _ in scored if name != weights}
    tested = task.score(network, "test", look)
    checkpoints.save(folder / "weights.pt", network.state_dict())
    return Result(
        metric=task.metric,
        accuracy=score.value,
        score=score.report(),
        test=tested.report(),
        weights=weights,
        other=others or None,
        images_per_second=run.recipe.epochs * task.images / max(run.seconds, 1e-9),
        peak_memory_bytes=run.device.peak_memory(),
        seconds=run.seconds,
        history=run.history,
        environment={**run.environment, **({"earlier": run.earlier} if run.earlier else {})},
    )


def _whole_epoch(run: Run, images: int) -> Progress:
    last, rate = run.history[-1], run.epoch * images / max(run.seconds, 1e-9)
    left = (run.recipe.epochs - run.epoch) * images / rate
    accuracy = last["validation_accuracy"]
    return Progress(run.epoch, run.recipe.epochs, run.steps, run.steps, last["train_loss"], accuracy, rate, left)


def _within_epoch(run: Run, step: int, loss: float, rate: float) -> Progress:
    left = ((run.recipe.epochs - run.epoch) * run.steps - step) * run.recipe.batch_size / rate
    return Progress(run.epoch, run.recipe.epochs, step, run.steps, loss, None, rate, left)


def _environment(device: Device, seed: int, provenance: dict[str, Any]) -> dict[str, Any]:
    packages = {name: version(name) for name in ("rdw", "torch", "timm", "numpy")}
    return {
        "python": platform.python_version(),
        **packages,
        "processor": platform.machine(),
        **device.describe(),
        "threads": torch.get_num_threads(),
        "seed": seed,
        **provenance,
    }
