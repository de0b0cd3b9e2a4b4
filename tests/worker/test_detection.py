"""Detection: its score and augmentation, and trainings that learn, repeat and resume."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.core.trials import TrialResult
from app.data.builtin_datasets import ARTICLES_ON_PHOTOS
from app.data.recipes import Recipe, recipe_for
from app.scaling.network import Config, Head, Stage, Stem
from tests.worker.scenery import articles_on_photos, first_scenes
from tests.worker.support import CPU, load_weights
from tests.worker.test_training import comparable, equal_weights, stop_at
from worker.data.scenes import Scenes, SceneSplits
from worker.networks import build
from worker.training.detection import Batch, Detection, augment, average_precision
from worker.training.loop import BatchIndices, Diverged, TrainingStopped, train
from worker.training.pretrained import LoadWeights, Pretrained
from worker.training.ssdlite import SSDLite, Target

DETECTOR = Config(
    family="efficientnet",
    resolution=64,
    stem=Stem(16),
    stages=(
        Stage("ds", 1, 16),
        Stage("ir", 1, 24, stride=2, expansion=3),
        Stage("ir", 1, 48, kernel=5, stride=2, expansion=3),
        Stage("ir", 1, 64, stride=2, expansion=3),
    ),
    head=Head(64),
    activation="relu",
    in_chans=3,
    num_classes=10,
)
SMALL_DETECTOR = replace(DETECTOR, resolution=32)
SHORT = Recipe(epochs=3, batch_size=8, lr=0.01, drop_path=0.2, ema_decay=0.9, flip=True, shift=0.1)
TRUTH: list[Target] = [
    {"boxes": torch.tensor([[10.0, 10, 30, 40], [60.0, 50, 100, 90]]), "labels": torch.tensor([1, 2])},
    {"boxes": torch.tensor([[5.0, 70, 45, 110]]), "labels": torch.tensor([1])},
]
AUGMENTED = Recipe(flip=True, shift=0.2)


def as_detections(targets: list[Target]) -> list[Target]:
    return [{**target, "scores": torch.full((len(target["labels"]),), 0.9)} for target in targets]


def train_detector(
    folder: Path,
    recipe: Recipe,
    scenes: SceneSplits,
    *,
    config: Config = SMALL_DETECTOR,
    init: LoadWeights | None = None,
    **options: Any,
) -> TrialResult:
    arguments = {"on_progress": lambda _: None, "should_stop": lambda: False, **options}
    task = Detection(config, recipe_for(ARTICLES_ON_PHOTOS, recipe, ""), scenes, CPU, init=init)
    return train(task, recipe, 0, device=CPU, folder=folder, weights_file=folder / "weights.pt", **arguments)


class PerfectDetector(SSDLite):
    """Returns the targets as detections, in pixels of its input."""

    def __init__(self, config: Config, scenes: Scenes) -> None:
        super().__init__(config)
        scale = config.resolution / scenes.images.px
        self._all = iter([{**target, "boxes": target["boxes"] * scale} for target in as_detections(scenes.targets)])

    def detections(self, output: tuple[Tensor, Tensor]) -> list[Target]:
        return [next(self._all) for _ in output[0]]


def test_perfect_detections_score_1() -> None:
    score = average_precision(as_detections(TRUTH), TRUTH, 3)

    assert (score.map, score.ap50, score.ap75) == pytest.approx((1, 1, 1))
    assert score.by_class[:2] == pytest.approx([1, 1])
    assert score.by_class[2] is None  # a class without targets


def test_shifted_detections_score_less_at_higher_iou() -> None:
    shifted = [{**target, "boxes": target["boxes"] + torch.tensor([5.0, 0, 5, 0])} for target in as_detections(TRUTH)]

    score = average_precision(shifted, TRUTH, 2)  # IoU .6, .78 and .78

    assert score.ap50 == pytest.approx(1)
    # Both detections of class 1 are correct up to IoU .6, and one of them up to .75, with a precision of one half.
    assert score.by_class[0] == pytest.approx((3 + 3 * 0.5 * 51 / 101) / 10)
    assert score.by_class[1] == pytest.approx(0.6)
    assert 0 < score.map < score.ap75 < 1


@pytest.mark.parametrize("wrong", ["nothing", "other classes", "elsewhere"])
def test_wrong_detections_score_0(wrong: str) -> None:
    detections = as_detections(TRUTH)
    if wrong == "nothing":
        detections = [{name: value[:0] for name, value in target.items()} for target in detections]
    if wrong == "other classes":
        detections = [{**target, "labels": 3 - target["labels"]} for target in detections[:1]] + [detections[1]]
        detections[1] = {**detections[1], "labels": torch.tensor([2])}
    if wrong == "elsewhere":
        detections = detections[::-1]

    assert average_precision(detections, TRUTH, 2).map == pytest.approx(0, abs=1e-9)


def test_false_positives_only_count_above_true_positives() -> None:
    def with_false_positive(score: float) -> list[Target]:
        extra = {
            "boxes": torch.tensor([[90.0, 90, 120, 120]]),
            "labels": torch.tensor([1]),
            "scores": torch.tensor([score]),
        }
        first, second = as_detections(TRUTH)
        return [first, {name: torch.cat([second[name], extra[name]]) for name in second}]

    assert average_precision(with_false_positive(0.1), TRUTH, 2).map == pytest.approx(1)
    assert average_precision(with_false_positive(0.99), TRUTH, 2).by_class[0] < 0.7


def test_scoring_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    average_precision(as_detections(TRUTH), TRUTH, 2)

    assert capsys.readouterr() == ("", "")


def squares(px: int = 64) -> Batch:
    """A bright rectangle in each of 40 dark images, and its box."""
    images, targets = torch.zeros(40, 1, px, px), []
    for i in range(40):
        x1, y1 = 2 + i % 7 * 6, 3 + i % 5 * 8
        box = (x1, y1, x1 + 9 + i % 3, y1 + 13)
        images[i, 0, box[1] : box[3], box[0] : box[2]] = 1
        targets.append({"boxes": torch.tensor([box], dtype=torch.float32), "labels": torch.tensor([i % 10 + 1])})
    return Batch(images, targets)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(flip=True), Recipe(shift=0.2), AUGMENTED])
def test_boxes_follow_augmented_images(recipe: Recipe) -> None:
    before = squares()

    after = augment(before, recipe, torch.Generator().manual_seed(0))

    kept = [(i, target) for i, target in enumerate(after.targets) if len(target["labels"])]
    for i, target in kept:
        (box,) = target["boxes"].int().tolist()
        y, x = torch.nonzero(after.images[i, 0], as_tuple=True)
        assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == box
        assert target["labels"].tolist() == before.targets[i]["labels"].tolist()
    assert len(kept) > 30
    changed = sum(not torch.equal(a["boxes"], b["boxes"]) for a, b in zip(after.targets, before.targets, strict=True))
    assert (changed > 10) == (recipe.flip or recipe.shift > 0)


def test_boxes_shifted_out_of_sight_are_removed() -> None:
    corner = {"boxes": torch.tensor([[0.0, 0, 10, 10], [30.0, 30, 50, 50]]), "labels": torch.tensor([1, 2])}
    batch = Batch(torch.zeros(200, 1, 64, 64), [corner] * 200)

    after = augment(batch, Recipe(shift=0.2), torch.Generator().manual_seed(0))

    labels = [target["labels"].tolist() for target in after.targets]
    assert [1, 2] in labels and [2] in labels
    for target in after.targets:
        sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
        assert target["boxes"].min() >= 0 and target["boxes"].max() <= 64
        assert (sides.prod(1) >= torch.tensor([30.0, 120])[-len(sides) :]).all()


@pytest.mark.parametrize("px", [64, 100, 128])
def test_perfect_detector_scores_one_at_any_resolution(px: int) -> None:
    config, scenes = replace(DETECTOR, resolution=px), first_scenes(articles_on_photos(), 70)
    task = Detection(config, Recipe(), scenes, CPU)

    score = task.score(PerfectDetector(config, scenes.test), "test", lambda: None)

    assert score.value > 0.999
    assert score.history_entry().keys() == {"accuracy", "ap50", "loss"}
    assert len(score.to_json()["by_class"]) == 10


def test_scoring_keeps_network_unchanged_and_can_be_stopped() -> None:
    task = Detection(SMALL_DETECTOR, SHORT, first_scenes(articles_on_photos(), 70), CPU)
    network, checks = task.build(), count()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    task.score(network, "validation", lambda: next(checks) and None)

    assert network.training
    assert equal_weights(before, network.state_dict())
    assert next(checks) == 2  # batches

    def stop() -> None:
        raise TrainingStopped

    with pytest.raises(TrainingStopped):
        task.score(network, "validation", stop)


def test_batches_depend_on_order_and_seed_only() -> None:
    task = Detection(SMALL_DETECTOR, AUGMENTED, first_scenes(articles_on_photos(), 40), CPU)
    order = [BatchIndices(torch.tensor([3, 39, 7]), 11), BatchIndices(torch.tensor([0, 1]), 12)]

    one, other = list(task.batches(order)), list(task.batches(order))

    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.images, b.images)
        assert all(equal_weights(x, y) for x, y in zip(a.targets, b.targets, strict=True))
    (other_seed,) = task.batches([BatchIndices(torch.tensor([0, 1]), 13)])
    assert not torch.equal(other_seed.images, one[1].images)
    assert [len(batch.images) for batch in one] == [3, 2]


@pytest.mark.parametrize("classes", [9, 11])
def test_different_numbers_of_classes_are_rejected(classes: int) -> None:
    with pytest.raises(ValueError, match=f"the network has {classes} classes, the data 10"):
        Detection(replace(SMALL_DETECTOR, num_classes=classes), SHORT, first_scenes(articles_on_photos(), 8), CPU)


@pytest.mark.parametrize("channels", [1, 3])
def test_detectors_with_one_and_three_channels_train(channels: int, tmp_path: Path) -> None:
    scenes = first_scenes(articles_on_photos(), 24)

    result = train_detector(tmp_path, SHORT, scenes, config=replace(SMALL_DETECTOR, in_chans=channels))

    assert 0 <= result.accuracy <= 1
    assert result.metric == "map"
    assert result.to_json()["images_per_second"] > 0
    assert result.environment["images"] == {"train": 24, "validation": 24, "test": 24}


@pytest.mark.exhaustive
def test_repeated_and_resumed_trainings_are_bit_identical(tmp_path: Path) -> None:
    scenes = first_scenes(articles_on_photos(), 40)

    one = train_detector(tmp_path / "one", SHORT, scenes)
    torch.rand(1)
    other = train_detector(tmp_path / "other", SHORT, scenes)
    with pytest.raises(TrainingStopped):
        train_detector(tmp_path / "stopped", SHORT, scenes, should_stop=stop_at(9))  # in the second epoch
    torch.manual_seed(123)
    resumed = train_detector(tmp_path / "stopped", SHORT, scenes)

    assert comparable(one) == comparable(other) == comparable(resumed)
    for folder in ("other", "stopped"):
        assert equal_weights(load_weights(tmp_path / "one"), load_weights(tmp_path / folder))


def test_frozen_backbone_keeps_the_weights_of_a_classifier(tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = replace(SMALL_DETECTOR, num_classes=7)
    source = Pretrained("a classifier", "0" * 64, build(config), config)
    recipe = Recipe(epochs=1, batch_size=8, freeze_epochs=1)

    result = train_detector(tmp_path, recipe, first_scenes(articles_on_photos(), 24), init=lambda: source)

    assert result.init is not None
    assert result.init["sha256"] == source.sha256
    trained = load_weights(tmp_path)
    for name, weight in source.network.named_parameters():
        if f"backbone.{name}" in trained:
            assert torch.equal(trained[f"backbone.{name}"], weight), name


def test_divergence_is_reported_with_epoch_and_step(tmp_path: Path) -> None:
    recipe = Recipe(epochs=10, batch_size=8, lr=10, weight_decay=1, warmup_epochs=0)

    with pytest.raises(Diverged, match="lower the learning rate"):
        train_detector(tmp_path, recipe, first_scenes(articles_on_photos(), 40))


LEARNS = Recipe(epochs=9, batch_size=16, lr=0.01)


def learnable() -> SceneSplits:
    whole = articles_on_photos()
    train = Scenes(whole.train.pixels[:800], whole.train.targets[:800])
    return replace(first_scenes(whole, 100), train=train)


@pytest.mark.exhaustive
def test_detector_finds_articles_in_unseen_scenes(tmp_path: Path) -> None:
    result = train_detector(tmp_path, LEARNS, learnable(), config=DETECTOR)

    assert result.score["ap50"] > 0.25
    assert result.test["ap50"] > 0.25
    assert result.score["accuracy"] == result.accuracy < result.score["ap50"]
    assert result.history[-1]["validation_loss"] < result.history[0]["validation_loss"]


@pytest.mark.exhaustive
def test_detector_learns_no_classes_from_shuffled_labels(tmp_path: Path) -> None:
    scenes = learnable()
    labels = torch.cat([target["labels"] for target in scenes.train.targets])
    dealt = iter(labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))].tolist())
    targets = [
        {**target, "labels": torch.tensor([next(dealt) for _ in target["labels"]])} for target in scenes.train.targets
    ]

    result = train_detector(
        tmp_path, LEARNS, replace(scenes, train=Scenes(scenes.train.pixels, targets)), config=DETECTOR
    )

    assert result.score["ap50"] < 0.15
    assert result.test["ap50"] < 0.15
