"""The training loop: seeded, checkpointed after each epoch, resumed from there to the same bits."""

from __future__ import annotations

import logging
import math
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn import functional

from app.recipes import Recipe
from app.scaling.architecture import Config
from worker import checkpoints
from worker.augmentation import Augment, augmentation
from worker.datasets import Splits
from worker.evaluation import evaluate, ranked
from worker.images import Inputs, Normalisation
from worker.networks import build
from worker.recipe import optimiser, schedule

log = logging.getLogger("rdw.worker")

_REPORT_SECONDS = 2.0

Weights = Literal["raw", "ema"]


class Stopped(Exception):
    """The training was told to stop; the checkpoint of its last whole epoch stays."""


class Diverged(Exception):
    """The loss is no number any more."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"The loss became NaN or infinite in epoch {epoch}, step {step}: lower the learning rate.")
        self.epoch, self.step = epoch, step


@dataclass(frozen=True)
class Progress:
    """How far a training is. `epoch` counts whole ones; `validation_accuracy` comes with each of them."""

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
    """`accuracy` is top-1 on validation, of the weights named; the test part is reported and nothing more."""

    accuracy: float
    top5: float
    loss: float
    by_class: list[float | None]
    test_accuracy: float
    test_top5: float
    test_by_class: list[float | None]
    weights: Weights
    other: dict[str, float] | None  # top-1 on validation of the weights not chosen, where an average was kept
    images_per_second: float
    peak_memory_bytes: int
    seconds: float
    history: list[dict[str, float]]
    environment: dict[str, Any]


@dataclass
class Run:
    """A training under way, all of its state in one place. `of` says what decides the result."""

    of: dict[str, Any]
    network: nn.Module
    recipe: Recipe
    optimizer: torch.optim.Optimizer
    scheduler: Any
    ema: ModelEmaV3 | None
    steps: int  # an epoch
    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "of": self.of,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else None,
            "random": torch.get_rng_state(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "history": self.history,
        }

    def resume(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            self.ema.module.load_state_dict(state["ema"])
        torch.set_rng_state(state["random"])
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]


@dataclass(frozen=True)
class _Data:
    """The three parts as the network takes them."""

    train: Inputs
    validation: Inputs
    test: Inputs
    augment: Augment


def train(
    config: Config,
    recipe: Recipe,
    splits: Splits,
    seed: int,
    *,
    folder: Path,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Result:
    """Train to the end, from the folder's checkpoint where there is one; weights are left in `folder/weights.pt`.

    The same arguments give the same bits on the same machine and number of threads, stopped in between or not.
    Raises: Stopped, Diverged, InvalidNetwork; ValueError where the classifier does not fit the data.
    """
    if config.num_classes != splits.num_classes:
        raise ValueError(f"the network has {config.num_classes} classes, the data {splits.num_classes}")
    torch.use_deterministic_algorithms(True)
    data = _prepared(config, splits, recipe)
    run = _begun(config, recipe, splits, seed)
    checkpoint = folder / "checkpoint.pt"
    state = checkpoints.load(checkpoint)
    if state is not None and state["of"] == run.of:
        run.resume(state)
        log.info("resumed after epoch %s of %s", run.epoch, recipe.epochs)
    while run.epoch < recipe.epochs:
        _epoch(run, data, seed, on_progress, should_stop)
        checkpoints.save(checkpoint, run.state(), keep_before=True)
        on_progress(_whole_epoch(run, len(splits.train)))
    return _finished(run, data, seed, splits.digest, folder)


def _begun(config: Config, recipe: Recipe, splits: Splits, seed: int) -> Run:
    of = {"config": config.to_json(), "recipe": recipe.decisive(), "data": splits.digest, "seed": seed}
    images = len(splits.train)
    torch.manual_seed(seed)
    network = build(config, drop_rate=recipe.dropout, drop_path_rate=recipe.drop_path)
    network = network.to(memory_format=torch.channels_last)  # depthwise convolutions are faster so, on CPUs too
    optimizer = optimiser(network, recipe)
    # A last batch of one image is left out: batch norm has nothing to normalise over.
    steps = images // recipe.batch_size + (images % recipe.batch_size > 1)
    ema = ModelEmaV3(network, decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
    return Run(of, network, recipe, optimizer, schedule(optimizer, recipe, steps), ema, steps)


def _epoch(
    run: Run,
    data: _Data,
    seed: int,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> None:
    """One pass over the training images, in an order of this seed and epoch."""
    recipe, images = run.recipe, data.train
    random = torch.Generator().manual_seed(seed * 1_000_003 + run.epoch)
    order = torch.randperm(len(images), generator=random)
    began = reported = time.monotonic()
    summed, seen, first, five = 0.0, 0, 0, 0
    run.network.train()
    for step, chosen in enumerate(order.split(recipe.batch_size)[: run.steps]):
        if should_stop():
            raise Stopped
        run.scheduler.step_update(run.epoch * run.steps + step)
        logits = run.network(data.augment(chosen, random))
        loss = functional.cross_entropy(logits, images.labels[chosen], label_smoothing=recipe.label_smoothing)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(run.epoch + 1, step + 1)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        run.optimizer.step()
        if run.ema:
            run.ema.update(run.network, step=run.epoch * run.steps + step)
        right = ranked(logits.detach(), images.labels[chosen])
        first, five = first + int(right[:, 0].sum()), five + int(right.sum())
        summed, seen, now = summed + value * len(chosen), seen + len(chosen), time.monotonic()
        if now - reported > _REPORT_SECONDS:
            reported = now
            on_progress(_within_epoch(run, step + 1, summed / seen, seen / (now - began)))
    run.seconds += time.monotonic() - began
    run.epoch += 1
    trained = {"train_loss": summed / seen, "train_accuracy": first / seen, "train_top5": five / seen}
    run.history.append({"epoch": run.epoch, **trained, **_validated(run, data)})


def _validated(run: Run, data: _Data) -> dict[str, float]:
    score = evaluate(run.network, data.validation)
    if not math.isfinite(score.loss):  # the last step's update may be the one too many
        raise Diverged(run.epoch, run.steps)
    return {"validation_accuracy": score.top1, "validation_top5": score.top5, "validation_loss": score.loss}


def _finished(run: Run, data: _Data, seed: int, digest: str, folder: Path) -> Result:
    """Choose between raw and averaged weights by validation, then look at the test part, once."""
    networks: list[tuple[Weights, nn.Module]] = [("raw", run.network)]
    if run.ema:
        networks.append(("ema", run.ema.module))
    scored = [(evaluate(network, data.validation), weights, network) for weights, network in networks]
    score, weights, network = max(scored, key=lambda one: (one[0].top1, -one[0].loss))
    others = {name: other.top1 for other, name, _ in scored if name != weights}
    tested = evaluate(network, data.test)
    checkpoints.save(folder / "weights.pt", network.state_dict())
    return Result(
        accuracy=score.top1,
        top5=score.top5,
        loss=score.loss,
        by_class=score.by_class,
        test_accuracy=tested.top1,
        test_top5=tested.top5,
        test_by_class=tested.by_class,
        weights=weights,
        other=others or None,
        images_per_second=run.recipe.epochs * len(data.train) / max(run.seconds, 1e-9),
        peak_memory_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        seconds=run.seconds,
        history=run.history,
        environment=_environment(seed, digest),
    )


def _prepared(config: Config, splits: Splits, recipe: Recipe) -> _Data:
    normalisation = Normalisation.of(splits.train)
    train, validation, test = (
        Inputs(part, config.in_chans, config.resolution, normalisation)
        for part in (splits.train, splits.validation, splits.test)
    )
    return _Data(train, validation, test, augmentation(train, recipe))


def _whole_epoch(run: Run, images: int) -> Progress:
    last, rate = run.history[-1], run.epoch * images / max(run.seconds, 1e-9)
    left = (run.recipe.epochs - run.epoch) * images / rate
    accuracy = last["validation_accuracy"]
    return Progress(run.epoch, run.recipe.epochs, run.steps, run.steps, last["train_loss"], accuracy, rate, left)


def _within_epoch(run: Run, step: int, loss: float, rate: float) -> Progress:
    left = ((run.recipe.epochs - run.epoch) * run.steps - step) * run.recipe.batch_size / rate
    return Progress(run.epoch, run.recipe.epochs, step, run.steps, loss, None, rate, left)


def _environment(seed: int, digest: str) -> dict[str, Any]:
    packages = {name: version(name) for name in ("rdw", "torch", "timm", "numpy")}
    return {
        "python": platform.python_version(),
        **packages,
        "device": "cpu",
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "seed": seed,
        "data_digest": digest,
    }
