"""Trainings learn, repeat and resume bit-identically, and report what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.core.trials import TrainingProgress, TrialResult
from app.data.recipes import PRESETS, Recipe
from app.scaling.network import Config
from tests.worker.support import CPU, SMALL, TINY, digits, fashion_mnist, images, load_weights, train_small
from worker.data.loading import Splits
from worker.data.preprocessing import NetworkInputs, Normalisation
from worker.networks import build
from worker.training.classification import Classification
from worker.training.evaluation import evaluate
from worker.training.loop import Diverged, TrainingStopped

QUICK = Recipe(epochs=3, batch_size=32, lr=0.01)
LEARNS = Recipe(epochs=6, batch_size=32, lr=0.01)
EVERYTHING = Recipe(
    epochs=5,
    batch_size=32,
    lr=0.01,
    dropout=0.2,
    drop_path=0.2,
    ema_decay=0.9,
    flip=True,
    shift=0.13,
)

PAPER = PRESETS["tinynet-ra"].model_copy(update={"epochs": 5, "batch_size": 32, "warmup_epochs": 1.0})

Weights = dict[str, Tensor]


def stop_at(batch: int) -> Callable[[], bool]:
    """Return a `should_stop` that is true for the `batch`th call only."""
    times = count(1)
    return lambda: next(times) == batch


def equal_weights(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def comparable(result: TrialResult) -> dict[str, object]:
    """Return the part of a result that does not depend on time or on the process."""
    excluded = ("seconds", "images_per_second", "peak_memory_bytes")
    return {name: value for name, value in result.to_json().items() if name not in excluded}


def last_state(folder: Path) -> list[Any]:
    """Return the flattened checkpoint without its seconds."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return flat({name: value for name, value in state.items() if name != "seconds"})


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for name in value for leaf in [name, *flat(value[name])]]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in flat(item)]
    return [value.tolist() if isinstance(value, Tensor) else value]


def count_stop_checks(images: int, recipe: Recipe) -> int:
    """Return how often an epoch checks whether to stop: before each training batch and the only validation batch."""
    return 1 + images // recipe.batch_size + (images % recipe.batch_size > 1)


def test_network_learns_digits(tmp_path: Path) -> None:
    result = train_small(tmp_path, LEARNS, splits=digits())

    assert result.accuracy > 0.9
    assert result.test["accuracy"] > 0.9
    assert result.score["top5"] >= result.accuracy


def test_network_learns_fashion_mnist_at_another_resolution(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=64, lr=0.01)

    result = train_small(tmp_path, recipe, config=replace(SMALL.baseline, resolution=20), splits=fashion_mnist(6_000))

    assert result.accuracy > 0.6


def test_classifier_learns_nothing_from_shuffled_labels(tmp_path: Path) -> None:
    splits = digits()
    shuffled = splits.train.labels[torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(0))]

    result = train_small(tmp_path, LEARNS, splits=replace(splits, train=replace(splits.train, labels=shuffled)))

    assert result.accuracy < 0.25
    assert result.test["accuracy"] < 0.25


def test_repeated_training_is_bit_identical(tmp_path: Path) -> None:
    one = train_small(tmp_path / "one", EVERYTHING)
    torch.rand(1)  # changes the global random state
    other = train_small(tmp_path / "other", EVERYTHING)

    assert comparable(one) == comparable(other)
    assert equal_weights(load_weights(tmp_path / "one"), load_weights(tmp_path / "other"))


def test_other_seed_gives_other_weights(tmp_path: Path) -> None:
    train_small(tmp_path / "one", QUICK, seed=0)
    train_small(tmp_path / "other", QUICK, seed=1)

    assert not equal_weights(load_weights(tmp_path / "one"), load_weights(tmp_path / "other"))


@pytest.mark.parametrize(
    "recipe",
    [EVERYTHING, EVERYTHING.model_copy(update={"optimizer": "rmsprop"}), PAPER],
    ids=["adamw", "rmsprop", "paper"],
)
@pytest.mark.parametrize("stops", [[17], [9, 5, 1]], ids=["once", "three times"])
def test_resumed_training_is_bit_identical(stops: list[int], recipe: Recipe, tmp_path: Path) -> None:
    uninterrupted = train_small(tmp_path / "uninterrupted", recipe)

    for batch in stops:
        with pytest.raises(TrainingStopped):
            train_small(tmp_path / "stopped", recipe, should_stop=stop_at(batch))
        torch.manual_seed(123)  # as in a new process
    resumed = train_small(tmp_path / "stopped", recipe)

    assert comparable(resumed) == comparable(uninterrupted)
    assert equal_weights(load_weights(tmp_path / "stopped"), load_weights(tmp_path / "uninterrupted"))
    assert last_state(tmp_path / "stopped") == last_state(tmp_path / "uninterrupted")


def test_resumed_training_does_not_repeat_epochs(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        train_small(tmp_path, QUICK, should_stop=stop_at(2 * count_stop_checks(200, QUICK) + 3))
    reported: list[TrainingProgress] = []

    result = train_small(tmp_path, QUICK, on_progress=reported.append)

    assert [p.epoch for p in reported] == [3]
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3]


def test_seconds_are_summed_over_attempts(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        train_small(tmp_path, QUICK, should_stop=stop_at(2 * count_stop_checks(200, QUICK) + 1))
    before = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["seconds"]

    assert train_small(tmp_path, QUICK).seconds > before > 0


def test_training_killed_after_last_epoch_only_evaluates(tmp_path: Path) -> None:
    one = train_small(tmp_path, QUICK)
    (tmp_path / "weights.pt").unlink()

    reported: list[TrainingProgress] = []
    with pytest.raises(TrainingStopped):
        train_small(tmp_path, QUICK, on_progress=reported.append, should_stop=stop_at(2))
    assert comparable(train_small(tmp_path, QUICK, on_progress=reported.append)) == comparable(one)
    assert reported == []
    assert (tmp_path / "weights.pt").exists()


def test_stop_in_first_epoch_leaves_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        train_small(tmp_path, QUICK, should_stop=stop_at(1))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"no checkpoint"])
def test_training_starts_over_if_checkpoint_is_damaged(damage: bytes, tmp_path: Path) -> None:
    fresh = train_small(tmp_path / "fresh", QUICK)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "checkpoint.pt").write_bytes(damage)

    assert comparable(train_small(tmp_path / "damaged", QUICK)) == comparable(fresh)


def test_training_resumes_from_previous_checkpoint_if_last_is_damaged(tmp_path: Path) -> None:
    fresh = train_small(tmp_path / "fresh", QUICK)
    with pytest.raises(TrainingStopped):
        train_small(tmp_path / "damaged", QUICK, should_stop=stop_at(2 * count_stop_checks(200, QUICK) + 1))
    (tmp_path / "damaged" / "checkpoint.pt").write_bytes(b"no checkpoint")
    reported: list[TrainingProgress] = []

    result = train_small(tmp_path / "damaged", QUICK, on_progress=reported.append)

    assert [p.epoch for p in reported] == [2, 3]
    assert comparable(result) == comparable(fresh)


def test_checkpoint_of_other_training_is_ignored(tmp_path: Path) -> None:
    fresh = train_small(tmp_path / "fresh", QUICK, seed=1)
    train_small(tmp_path / "used", QUICK, seed=0)

    assert comparable(train_small(tmp_path / "used", QUICK, seed=1)) == comparable(fresh)


def test_divergence_is_reported_with_epoch_and_step(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"epoch \d+, step \d+: lower the learning rate") as raised:
        train_small(tmp_path, Recipe(epochs=10, batch_size=32, lr=10, weight_decay=1, warmup_epochs=0))

    assert raised.value.epoch >= 1
    assert raised.value.step >= 1


@pytest.mark.parametrize(("n", "steps"), [(64, 2), (65, 2), (66, 3), (33, 1), (20, 1)])
def test_last_batch_of_one_image_is_skipped(n: int, steps: int, tmp_path: Path) -> None:
    times = count()
    reported: list[TrainingProgress] = []

    train_small(
        tmp_path,
        Recipe(epochs=1, batch_size=32),
        splits=digits(n),
        on_progress=reported.append,
        should_stop=lambda: next(times) < 0,
    )

    evaluations = 3  # at the end of the epoch, then the final validation and test
    assert next(times) - evaluations == reported[-1].steps == steps


def test_progress_is_reported_after_each_epoch(tmp_path: Path) -> None:
    reported: list[TrainingProgress] = []

    result = train_small(tmp_path, QUICK, on_progress=reported.append)

    epochs = [p for p in reported if p.validation_accuracy is not None]
    assert [(p.epoch, p.epochs) for p in epochs] == [(1, 3), (2, 3), (3, 3)]
    assert [p.validation_accuracy for p in epochs] == [entry["validation_accuracy"] for entry in result.history]
    assert [p.train_loss for p in epochs] == [entry["train_loss"] for entry in result.history]
    assert epochs[0].seconds_left > epochs[2].seconds_left == 0
    assert all(p.images_per_second > 0 for p in reported)


def test_checkpoint_is_saved_before_epoch_is_reported(tmp_path: Path) -> None:
    saved: list[int] = []

    def record(progress: TrainingProgress) -> None:
        saved.append(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"])

    train_small(tmp_path, QUICK, on_progress=record)

    assert saved == [1, 2, 3]


@pytest.mark.parametrize(("ema_decay", "kept"), [(0.5, {"raw", "ema"}), (0.99999, {"raw"}), (None, {"raw"})])
def test_better_weights_by_validation_are_kept(ema_decay: float | None, kept: set[str], tmp_path: Path) -> None:
    splits = digits(200)

    result = train_small(tmp_path, QUICK.model_copy(update={"ema_decay": ema_decay}), splits=splits)

    network = build(TINY)
    network.load_state_dict(load_weights(tmp_path))
    normalisation = Normalisation.from_images(splits.train, 1)
    validation, test = (
        evaluate(network, [(NetworkInputs(part, 1, TINY.resolution, normalisation)[:], part.labels)])
        for part in (splits.validation, splits.test)
    )
    assert result.weights in kept
    assert result.accuracy == validation.top1 >= result.history[-1]["validation_accuracy"]
    assert (result.score["top5"], result.score["loss"]) == pytest.approx((validation.top5, validation.loss))
    assert (result.test["accuracy"], result.test["top5"]) == (test.top1, test.top5)
    for part, expected in ((result.score, validation), (result.test, test)):
        assert [one["accuracy"] for one in part["by_class"]] == expected.by_class
        assert [one["class"] for one in part["by_class"]] == list("0123456789")
    assert (result.other is None) == (ema_decay is None)
    if result.other:
        assert set(result.other) == {"raw", "ema"} - {result.weights}
        assert max(result.other.values()) <= result.accuracy


@pytest.mark.parametrize(("of_images", "of_network"), [(1, 3), (3, 1), (3, 3)])
def test_images_adapt_to_channels_of_network(of_images: int, of_network: int, tmp_path: Path) -> None:
    part = images(64, channels=of_images)
    splits = Splits(part, part, part, num_classes=10, digest="random")

    result = train_small(tmp_path, QUICK, config=replace(TINY, in_chans=of_network), splits=splits)

    assert 0 <= result.accuracy <= 1


@pytest.mark.parametrize("config", [replace(TINY, num_classes=9), replace(TINY, num_classes=11)])
def test_different_numbers_of_classes_are_rejected(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the network has \d+ classes, the data 10"):
        train_small(tmp_path, QUICK, config=config)


def test_history_has_training_and_validation_metrics(tmp_path: Path) -> None:
    result = train_small(tmp_path, LEARNS, splits=digits())

    for entry in result.history:
        for part in ("train", "validation"):
            assert 0 <= entry[f"{part}_accuracy"] <= entry[f"{part}_top5"] <= 1
            assert entry[f"{part}_loss"] > 0
    assert result.history[-1]["train_accuracy"] > 0.8 > result.history[0]["train_accuracy"]


def test_speed_and_memory_are_recorded(tmp_path: Path) -> None:
    result = train_small(tmp_path, QUICK)

    assert result.images_per_second == pytest.approx(QUICK.epochs * 200 / result.seconds)
    assert 10**7 < result.peak_memory_bytes < 10**11


def test_result_records_environment_as_plain_data(tmp_path: Path) -> None:
    splits = digits(200)

    result = train_small(tmp_path, QUICK, splits=splits, seed=7)

    assert result.environment.keys() >= {"python", "rdw", "torch", "timm", "device", "threads"}
    assert (result.environment["seed"], result.environment["data_digest"]) == (7, splits.digest)
    assert torch.backends.cpu.get_cpu_capability() in result.environment["processor"]
    plain = result.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["test_accuracy"] == result.test["accuracy"]


OTHER_VALUES: dict[str, Any] = {
    "freeze_epochs": 1,
    "layer_decay": 0.5,
    "epochs": 2,
    "batch_size": 64,
    "optimizer": "rmsprop",
    "lr": 0.02,
    "lr_batch": 64,
    "schedule": "step",
    "weight_decay": 0.5,
    "warmup_epochs": 0.5,
    "label_smoothing": 0.4,
    "dropout": 0.5,
    "drop_path": 0.5,
    "flip": True,
    "shift": 0.2,
    "crop": 0.5,
    "colour_jitter": 0.4,
    "randaugment": 9,
    "train_images": 100,
}


@pytest.mark.parametrize("option", OTHER_VALUES)
def test_every_option_changes_the_weights(option: str, tmp_path: Path) -> None:
    plain = Recipe(epochs=1, batch_size=32, lr=0.01, warmup_epochs=0)
    recipe = plain.model_copy(update={option: OTHER_VALUES[option]})
    deep = replace(
        TINY, stages=(*TINY.stages, replace(TINY.stages[1], repeats=2, stride=1))
    )  # with residual connections

    train_small(tmp_path / "plain", plain, config=deep)
    train_small(tmp_path / "other", recipe, config=deep, splits=digits(recipe.train_images or 200))

    assert not equal_weights(load_weights(tmp_path / "plain"), load_weights(tmp_path / "other"))


@pytest.mark.parametrize("option", ["decay", "decay_epochs"])
def test_every_schedule_option_changes_the_weights(option: str, tmp_path: Path) -> None:
    steps = Recipe(epochs=2, batch_size=32, lr=0.01, schedule="step", decay_epochs=0.3, warmup_epochs=0)

    train_small(tmp_path / "one", steps)
    train_small(tmp_path / "other", steps.model_copy(update={option: 0.7}))

    assert not equal_weights(load_weights(tmp_path / "one"), load_weights(tmp_path / "other"))


def test_crop_pct_changes_the_evaluation_alone(tmp_path: Path) -> None:
    recipe, splits = QUICK.model_copy(update={"crop_pct": 0.6}), digits(200)
    train_small(tmp_path / "whole", QUICK, splits=splits)

    result = train_small(tmp_path / "cropped", recipe, splits=splits)

    assert equal_weights(load_weights(tmp_path / "whole"), load_weights(tmp_path / "cropped"))
    network = build(TINY)
    network.load_state_dict(load_weights(tmp_path / "cropped"))
    normalisation = Normalisation.from_images(splits.train, 1)
    for part, score in ((splits.validation, result.score), (splits.test, result.test)):
        inputs = NetworkInputs(part, 1, TINY.resolution, normalisation, 0.6)
        assert score["accuracy"] == evaluate(network, [(inputs[:], part.labels)]).top1
    assert result.history[-1]["validation_accuracy"] == result.accuracy
    assert result.to_json()["crop_pct"] == 0.6


def test_every_recipe_option_is_tested() -> None:
    elsewhere = {"decay", "decay_epochs", "ema_decay", "crop_pct", "init", "distill"}
    assert {*OTHER_VALUES, *elsewhere} == set(Recipe.model_fields)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_loss_smooths_labels_as_in_recipe(smoothing: float) -> None:
    splits = digits(200)
    task = Classification(TINY, Recipe(label_smoothing=smoothing), splits, CPU)
    network = task.build().eval()
    images, labels = (
        NetworkInputs(splits.train, 1, 8, Normalisation.from_images(splits.train, 1))[:],
        splits.train.labels,
    )

    loss, sums = task.loss(network, (images, labels))

    log_probabilities = network(images).log_softmax(1)
    correct = log_probabilities[torch.arange(200), labels]
    expected = -((1 - smoothing) * correct + smoothing * log_probabilities.mean(1)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert sums["accuracy"] == (log_probabilities.argmax(1) == labels).sum()
