"""Training: it learns, it repeats to the bit, it goes on where it was stopped, and it says what went wrong."""

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

from app.recipes import PRESETS, Recipe
from app.scaling.architecture import Config
from tests.worker.support import CPU, SMALL, TINY, digits, fashion_mnist, images, trained, weights
from worker.classification import Classification
from worker.datasets import Splits
from worker.evaluation import evaluate
from worker.images import Inputs, Normalisation
from worker.networks import build
from worker.training import Diverged, Progress, Result, Stopped

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

PAPERS = PRESETS["tinynet-ra"].model_copy(update={"epochs": 5, "batch_size": 32, "warmup_epochs": 1.0})

Weights = dict[str, Tensor]


def stop_at(batch: int) -> Callable[[], bool]:
    """Says stop when asked for the `batch`th time."""
    times = count(1)
    return lambda: next(times) == batch


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def measured(result: Result) -> dict[str, object]:
    """All of a result that does not depend on the clock, nor on what the process did before."""
    apart = ("seconds", "images_per_second", "peak_memory_bytes")
    return {name: value for name, value in result.to_json().items() if name not in apart}


def last_state(folder: Path) -> list[Any]:
    """All that the checkpoint holds, flat, but for the clock's seconds."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return flat({name: value for name, value in state.items() if name != "seconds"})


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for name in value for leaf in [name, *flat(value[name])]]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in flat(item)]
    return [value.tolist() if isinstance(value, Tensor) else value]


def asked(images: int, recipe: Recipe) -> int:
    """How often a training asks in an epoch whether to stop: before each batch, and before the one of validation."""
    return 1 + images // recipe.batch_size + (images % recipe.batch_size > 1)


def test_the_digits_are_learned(tmp_path: Path) -> None:
    result = trained(tmp_path, LEARNS, splits=digits())

    assert result.accuracy > 0.9
    assert result.test["accuracy"] > 0.9
    assert result.score["top5"] >= result.accuracy


def test_fashion_mnist_is_learned_at_another_size_than_its_own(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=64, lr=0.01)

    result = trained(tmp_path, recipe, config=replace(SMALL.baseline, resolution=20), splits=fashion_mnist(6_000))

    assert result.accuracy > 0.6


def test_with_shuffled_labels_nothing_is_learned(tmp_path: Path) -> None:
    splits = digits()
    shuffled = splits.train.labels[torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(0))]

    result = trained(tmp_path, LEARNS, splits=replace(splits, train=replace(splits.train, labels=shuffled)))

    assert result.accuracy < 0.25
    assert result.test["accuracy"] < 0.25


def test_the_same_training_twice_gives_the_same_bits(tmp_path: Path) -> None:
    one = trained(tmp_path / "one", EVERYTHING)
    torch.rand(1)  # whatever went on in between
    other = trained(tmp_path / "other", EVERYTHING)

    assert measured(one) == measured(other)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_another_seed_gives_another_network(tmp_path: Path) -> None:
    trained(tmp_path / "one", QUICK, seed=0)
    trained(tmp_path / "other", QUICK, seed=1)

    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


@pytest.mark.parametrize(
    "recipe",
    [EVERYTHING, EVERYTHING.model_copy(update={"optimizer": "rmsprop"}), PAPERS],
    ids=["adamw", "rmsprop", "the paper's"],
)
@pytest.mark.parametrize("stops", [[17], [9, 5, 1]], ids=["once", "three times"])
def test_stopped_and_resumed_it_ends_with_the_same_bits(stops: list[int], recipe: Recipe, tmp_path: Path) -> None:
    through = trained(tmp_path / "through", recipe)

    for batch in stops:
        with pytest.raises(Stopped):
            trained(tmp_path / "stopped", recipe, should_stop=stop_at(batch))
        torch.manual_seed(123)  # a new process has another random state
    resumed = trained(tmp_path / "stopped", recipe)

    assert measured(resumed) == measured(through)
    assert same(weights(tmp_path / "stopped"), weights(tmp_path / "through"))
    assert last_state(tmp_path / "stopped") == last_state(tmp_path / "through")


def test_a_resumed_training_does_not_repeat_whole_epochs(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, QUICK, should_stop=stop_at(2 * asked(200, QUICK) + 3))
    reported: list[Progress] = []

    result = trained(tmp_path, QUICK, on_progress=reported.append)

    assert [p.epoch for p in reported] == [3]
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3]


def test_the_time_of_all_attempts_is_summed(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, QUICK, should_stop=stop_at(2 * asked(200, QUICK) + 1))
    before = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["seconds"]

    assert trained(tmp_path, QUICK).seconds > before > 0


def test_killed_between_the_last_epoch_and_the_result_it_only_evaluates(tmp_path: Path) -> None:
    one = trained(tmp_path, QUICK)
    (tmp_path / "weights.pt").unlink()

    reported: list[Progress] = []
    with pytest.raises(Stopped):
        trained(tmp_path, QUICK, on_progress=reported.append, should_stop=stop_at(2))
    assert measured(trained(tmp_path, QUICK, on_progress=reported.append)) == measured(one)
    assert reported == []
    assert (tmp_path / "weights.pt").exists()


def test_a_stop_in_the_first_epoch_leaves_nothing_to_resume_from(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, QUICK, should_stop=stop_at(1))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"no checkpoint"])
def test_from_a_damaged_checkpoint_it_starts_anew(damage: bytes, tmp_path: Path) -> None:
    fresh = trained(tmp_path / "fresh", QUICK)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "checkpoint.pt").write_bytes(damage)

    assert measured(trained(tmp_path / "damaged", QUICK)) == measured(fresh)


def test_from_a_damaged_checkpoint_it_goes_on_from_the_one_before(tmp_path: Path) -> None:
    fresh = trained(tmp_path / "fresh", QUICK)
    with pytest.raises(Stopped):
        trained(tmp_path / "damaged", QUICK, should_stop=stop_at(2 * asked(200, QUICK) + 1))
    (tmp_path / "damaged" / "checkpoint.pt").write_bytes(b"no checkpoint")
    reported: list[Progress] = []

    result = trained(tmp_path / "damaged", QUICK, on_progress=reported.append)

    assert [p.epoch for p in reported] == [2, 3]
    assert measured(result) == measured(fresh)


def test_another_trainings_checkpoint_is_not_resumed_from(tmp_path: Path) -> None:
    fresh = trained(tmp_path / "fresh", QUICK, seed=1)
    trained(tmp_path / "used", QUICK, seed=0)

    assert measured(trained(tmp_path / "used", QUICK, seed=1)) == measured(fresh)


def test_a_diverging_training_says_where(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"epoch \d+, step \d+: lower the learning rate") as raised:
        trained(tmp_path, Recipe(epochs=10, batch_size=32, lr=10, weight_decay=1, warmup_epochs=0))

    assert raised.value.epoch >= 1
    assert raised.value.step >= 1


@pytest.mark.parametrize(("n", "steps"), [(64, 2), (65, 2), (66, 3), (33, 1), (20, 1)])
def test_a_last_batch_of_one_image_is_left_out(n: int, steps: int, tmp_path: Path) -> None:
    times = count()
    reported: list[Progress] = []

    trained(
        tmp_path,
        Recipe(epochs=1, batch_size=32),
        splits=digits(n),
        on_progress=reported.append,
        should_stop=lambda: next(times) < 0,
    )

    evaluations = 3  # the epoch's, then validation and test at the end
    assert next(times) - evaluations == reported[-1].steps == steps


def test_progress_comes_with_each_epoch(tmp_path: Path) -> None:
    reported: list[Progress] = []

    result = trained(tmp_path, QUICK, on_progress=reported.append)

    epochs = [p for p in reported if p.validation_accuracy is not None]
    assert [(p.epoch, p.epochs) for p in epochs] == [(1, 3), (2, 3), (3, 3)]
    assert [p.validation_accuracy for p in epochs] == [entry["validation_accuracy"] for entry in result.history]
    assert [p.train_loss for p in epochs] == [entry["train_loss"] for entry in result.history]
    assert epochs[0].seconds_left > epochs[2].seconds_left == 0
    assert all(p.images_per_second > 0 for p in reported)


def test_each_epochs_checkpoint_is_there_when_it_is_reported(tmp_path: Path) -> None:
    there: list[int] = []

    def look(progress: Progress) -> None:
        there.append(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"])

    trained(tmp_path, QUICK, on_progress=look)

    assert there == [1, 2, 3]


@pytest.mark.parametrize(("ema_decay", "kept"), [(0.5, {"raw", "ema"}), (0.99999, {"raw"}), (None, {"raw"})])
def test_the_better_weights_by_validation_are_kept_and_named(
    ema_decay: float | None, kept: set[str], tmp_path: Path
) -> None:
    splits = digits(200)

    result = trained(tmp_path, QUICK.model_copy(update={"ema_decay": ema_decay}), splits=splits)

    network = build(TINY)
    network.load_state_dict(weights(tmp_path))
    normalisation = Normalisation.of(splits.train)
    validation, test = (
        evaluate(network, [(Inputs(part, 1, TINY.resolution, normalisation)[:], part.labels)])
        for part in (splits.validation, splits.test)
    )
    assert result.weights in kept
    assert result.accuracy == validation.top1 >= result.history[-1]["validation_accuracy"]
    assert (result.score["top5"], result.score["loss"]) == pytest.approx((validation.top5, validation.loss))
    assert (result.test["accuracy"], result.test["top5"]) == (test.top1, test.top5)
    assert (result.score["by_class"], result.test["by_class"]) == (validation.by_class, test.by_class)
    assert (result.other is None) == (ema_decay is None)
    if result.other:
        assert set(result.other) == {"raw", "ema"} - {result.weights}
        assert max(result.other.values()) <= result.accuracy


@pytest.mark.parametrize(("of_images", "of_network"), [(1, 3), (3, 1), (3, 3)])
def test_networks_and_images_of_other_channels_go_together(of_images: int, of_network: int, tmp_path: Path) -> None:
    part = images(64, channels=of_images)
    splits = Splits(part, part, part, num_classes=10, digest="random")

    result = trained(tmp_path, QUICK, config=replace(TINY, in_chans=of_network), splits=splits)

    assert 0 <= result.accuracy <= 1


@pytest.mark.parametrize("config", [replace(TINY, num_classes=9), replace(TINY, num_classes=11)])
def test_a_classifier_that_does_not_fit_the_data_is_refused(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the network has \d+ classes, the data 10"):
        trained(tmp_path, QUICK, config=config)


def test_each_epoch_says_how_it_went_on_training_and_validation_images(tmp_path: Path) -> None:
    result = trained(tmp_path, LEARNS, splits=digits())

    for entry in result.history:
        for part in ("train", "validation"):
            assert 0 <= entry[f"{part}_accuracy"] <= entry[f"{part}_top5"] <= 1
            assert entry[f"{part}_loss"] > 0
    assert result.history[-1]["train_accuracy"] > 0.8 > result.history[0]["train_accuracy"]


def test_what_a_training_took_is_recorded(tmp_path: Path) -> None:
    result = trained(tmp_path, QUICK)

    assert result.images_per_second == pytest.approx(QUICK.epochs * 200 / result.seconds)
    assert 10**7 < result.peak_memory_bytes < 10**11


def test_a_result_says_what_it_was_obtained_with_and_is_plain_data(tmp_path: Path) -> None:
    splits = digits(200)

    result = trained(tmp_path, QUICK, splits=splits, seed=7)

    assert result.environment.keys() >= {"python", "rdw", "torch", "timm", "device", "threads"}
    assert (result.environment["seed"], result.environment["data_digest"]) == (7, splits.digest)
    plain = result.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["test_accuracy"] == result.test["accuracy"]


OTHERWISE: dict[str, Any] = {
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


@pytest.mark.parametrize("option", OTHERWISE)
def test_every_option_has_a_say_in_the_weights(option: str, tmp_path: Path) -> None:
    plain = Recipe(epochs=1, batch_size=32, lr=0.01, warmup_epochs=0)
    recipe = plain.model_copy(update={option: OTHERWISE[option]})
    deep = replace(TINY, stages=(*TINY.stages, replace(TINY.stages[1], repeats=2, stride=1)))  # with shortcuts

    trained(tmp_path / "plain", plain, config=deep)
    trained(tmp_path / "other", recipe, config=deep, splits=digits(recipe.train_images or 200))

    assert not same(weights(tmp_path / "plain"), weights(tmp_path / "other"))


@pytest.mark.parametrize("option", ["decay", "decay_epochs"])
def test_the_options_of_a_schedule_have_a_say_with_it(option: str, tmp_path: Path) -> None:
    steps = Recipe(epochs=2, batch_size=32, lr=0.01, schedule="step", decay_epochs=0.3, warmup_epochs=0)

    trained(tmp_path / "one", steps)
    trained(tmp_path / "other", steps.model_copy(update={option: 0.7}))

    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_no_option_is_forgotten() -> None:
    assert {*OTHERWISE, "decay", "decay_epochs", "ema_decay"} == set(Recipe.model_fields)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_labels_are_smoothed_as_the_recipe_says(smoothing: float) -> None:
    splits = digits(200)
    task = Classification(TINY, Recipe(label_smoothing=smoothing), splits, CPU)
    network = task.build().eval()
    images, labels = Inputs(splits.train, 1, 8, Normalisation.of(splits.train))[:], splits.train.labels

    loss, counts = task.loss(network, (images, labels))

    logarithms = network(images).log_softmax(1)
    right = logarithms[torch.arange(200), labels]
    expected = -((1 - smoothing) * right + smoothing * logarithms.mean(1)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert counts["accuracy"] == (logarithms.argmax(1) == labels).sum()
