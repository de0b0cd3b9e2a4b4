"""Detection as a task: its score, its augmentation, and that a training on it learns, repeats and resumes."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.recipes import Recipe, recipe_for
from app.scaling.architecture import Config, Head, Stage, Stem
from tests.worker.scenery import articles_on_photos, some
from tests.worker.support import CPU, weights
from tests.worker.test_training import measured, same, stop_at
from worker.detection import Batch, Detection, average_precision, moved
from worker.scenes import Scenes, ScenesInParts
from worker.ssdlite import SSDLite, Target
from worker.training import Diverged, Drawn, Result, Stopped, train

FINDER = Config(
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
BRIEF = replace(FINDER, resolution=32)
SHORT = Recipe(epochs=3, batch_size=8, lr=0.01, drop_path=0.2, ema_decay=0.9, flip=True, shift=0.1)
WHERE: list[Target] = [
    {"boxes": torch.tensor([[10.0, 10, 30, 40], [60.0, 50, 100, 90]]), "labels": torch.tensor([1, 2])},
    {"boxes": torch.tensor([[5.0, 70, 45, 110]]), "labels": torch.tensor([1])},
]
WANTED = Recipe(flip=True, shift=0.2)


def found(targets: list[Target]) -> list[Target]:
    return [{**target, "scores": torch.full((len(target["labels"]),), 0.9)} for target in targets]


def trained(folder: Path, recipe: Recipe, scenes: ScenesInParts, *, config: Config = BRIEF, **more: Any) -> Result:
    given = {"on_progress": lambda _: None, "should_stop": lambda: False, **more}
    task = Detection(config, recipe_for("detection", recipe, ""), scenes, CPU)
    return train(task, recipe, 0, device=CPU, folder=folder, **given)


class Knows(SSDLite):
    """Finds exactly what is there, in px of its own."""

    def __init__(self, config: Config, scenes: Scenes) -> None:
        super().__init__(config)
        scale = config.resolution / scenes.images.px
        self._all = iter([{**target, "boxes": target["boxes"] * scale} for target in found(scenes.targets)])

    def detections(self, output: tuple[Tensor, Tensor]) -> list[Target]:
        return [next(self._all) for _ in output[0]]


def test_the_truth_as_detections_scores_one() -> None:
    score = average_precision(found(WHERE), WHERE, 3)

    assert (score.map, score.ap50, score.ap75) == pytest.approx((1, 1, 1))
    assert score.by_class[:2] == pytest.approx([1, 1])
    assert score.by_class[2] is None  # no such thing is there


def test_shifted_detections_score_less_and_more_so_the_stricter_one_is() -> None:
    shifted = [{**target, "boxes": target["boxes"] + torch.tensor([5.0, 0, 5, 0])} for target in found(WHERE)]

    score = average_precision(shifted, WHERE, 2)  # IoU .6, .78 and .78

    assert score.ap50 == pytest.approx(1)
    # Up to IoU .6 both of class 1 are right; up to .75 the second one, at a precision of a half.
    assert score.by_class[0] == pytest.approx((3 + 3 * 0.5 * 51 / 101) / 10)
    assert score.by_class[1] == pytest.approx(0.6)
    assert 0 < score.map < score.ap75 < 1


@pytest.mark.parametrize("wrong", ["nothing", "other classes", "elsewhere"])
def test_detections_that_are_none_score_nothing(wrong: str) -> None:
    detections = found(WHERE)
    if wrong == "nothing":
        detections = [{name: value[:0] for name, value in target.items()} for target in detections]
    if wrong == "other classes":
        detections = [{**target, "labels": 3 - target["labels"]} for target in detections[:1]] + [detections[1]]
        detections[1] = {**detections[1], "labels": torch.tensor([2])}
    if wrong == "elsewhere":
        detections = detections[::-1]

    assert average_precision(detections, WHERE, 2).map == pytest.approx(0, abs=1e-9)


def test_a_false_alarm_that_is_surer_than_the_truth_costs_and_a_less_sure_one_does_not() -> None:
    def with_alarm(score: float) -> list[Target]:
        alarm = {
            "boxes": torch.tensor([[90.0, 90, 120, 120]]),
            "labels": torch.tensor([1]),
            "scores": torch.tensor([score]),
        }
        first, second = found(WHERE)
        return [first, {name: torch.cat([second[name], alarm[name]]) for name in second}]

    assert average_precision(with_alarm(0.1), WHERE, 2).map == pytest.approx(1)
    assert average_precision(with_alarm(0.99), WHERE, 2).by_class[0] < 0.7


def test_the_library_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    average_precision(found(WHERE), WHERE, 2)

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


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(flip=True), Recipe(shift=0.2), WANTED])
def test_boxes_go_where_what_they_are_around_goes(recipe: Recipe) -> None:
    before = squares()

    after = moved(before, recipe, torch.Generator().manual_seed(0))

    kept = [(i, target) for i, target in enumerate(after.targets) if len(target["labels"])]
    for i, target in kept:
        (box,) = target["boxes"].int().tolist()
        y, x = torch.nonzero(after.images[i, 0], as_tuple=True)
        assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == box
        assert target["labels"].tolist() == before.targets[i]["labels"].tolist()
    assert len(kept) > 30
    changed = sum(not torch.equal(a["boxes"], b["boxes"]) for a, b in zip(after.targets, before.targets, strict=True))
    assert (changed > 10) == (recipe.flip or recipe.shift > 0)


def test_what_a_shift_moves_out_of_sight_is_no_target() -> None:
    corner = {"boxes": torch.tensor([[0.0, 0, 10, 10], [30.0, 30, 50, 50]]), "labels": torch.tensor([1, 2])}
    batch = Batch(torch.zeros(200, 1, 64, 64), [corner] * 200)

    after = moved(batch, Recipe(shift=0.2), torch.Generator().manual_seed(0))

    labels = [target["labels"].tolist() for target in after.targets]
    assert [1, 2] in labels and [2] in labels
    for target in after.targets:
        sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
        assert target["boxes"].min() >= 0 and target["boxes"].max() <= 64
        assert (sides.prod(1) >= torch.tensor([30.0, 120])[-len(sides) :]).all()


@pytest.mark.parametrize("px", [64, 100, 128])
def test_boxes_are_compared_in_the_scenes_own_pixels_whatever_the_network_takes(px: int) -> None:
    config, scenes = replace(FINDER, resolution=px), some(articles_on_photos(), 70)
    task = Detection(config, Recipe(), scenes, CPU)

    score = task.score(Knows(config, scenes.test), "test", lambda: None)

    assert score.value > 0.999
    assert score.entry().keys() == {"accuracy", "ap50", "loss"}
    assert len(score.report()["by_class"]) == 10


def test_scoring_leaves_the_network_as_it_was_and_can_be_stopped() -> None:
    task = Detection(BRIEF, SHORT, some(articles_on_photos(), 70), CPU)
    network, looks = task.build(), count()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    task.score(network, "validation", lambda: next(looks) and None)

    assert network.training
    assert same(before, network.state_dict())
    assert next(looks) == 2  # batches

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        task.score(network, "validation", stop)


def test_an_order_decides_its_batches() -> None:
    task = Detection(BRIEF, WANTED, some(articles_on_photos(), 40), CPU)
    order = [Drawn(torch.tensor([3, 39, 7]), 11), Drawn(torch.tensor([0, 1]), 12)]

    one, other = list(task.batches(order)), list(task.batches(order))

    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.images, b.images)
        assert all(same(x, y) for x, y in zip(a.targets, b.targets, strict=True))
    (again,) = task.batches([Drawn(torch.tensor([0, 1]), 13)])
    assert not torch.equal(again.images, one[1].images)
    assert [len(batch.images) for batch in one] == [3, 2]


@pytest.mark.parametrize("classes", [9, 11])
def test_a_network_of_other_classes_than_the_datas_is_refused(classes: int) -> None:
    with pytest.raises(ValueError, match=f"the network has {classes} classes, the data 10"):
        Detection(replace(BRIEF, num_classes=classes), SHORT, some(articles_on_photos(), 8), CPU)


@pytest.mark.parametrize("channels", [1, 3])
def test_networks_of_one_and_three_channels_are_trained(channels: int, tmp_path: Path) -> None:
    scenes = some(articles_on_photos(), 24)

    result = trained(tmp_path, SHORT, scenes, config=replace(BRIEF, in_chans=channels))

    assert 0 <= result.accuracy <= 1
    assert result.metric == "map"
    assert result.to_json()["images_per_second"] > 0
    assert result.environment["images"] == {"train": 24, "validation": 24, "test": 24}


def test_the_same_training_twice_gives_the_same_bits_and_so_does_one_that_was_stopped(tmp_path: Path) -> None:
    scenes = some(articles_on_photos(), 40)

    one = trained(tmp_path / "one", SHORT, scenes)
    torch.rand(1)
    other = trained(tmp_path / "other", SHORT, scenes)
    with pytest.raises(Stopped):
        trained(tmp_path / "stopped", SHORT, scenes, should_stop=stop_at(9))  # in the second epoch
    torch.manual_seed(123)
    resumed = trained(tmp_path / "stopped", SHORT, scenes)

    assert measured(one) == measured(other) == measured(resumed)
    for folder in ("other", "stopped"):
        assert same(weights(tmp_path / "one"), weights(tmp_path / folder))


def test_a_diverging_training_says_where(tmp_path: Path) -> None:
    recipe = Recipe(epochs=10, batch_size=8, lr=10, weight_decay=1, warmup_epochs=0)

    with pytest.raises(Diverged, match="lower the learning rate"):
        trained(tmp_path, recipe, some(articles_on_photos(), 40))


LEARNS = Recipe(epochs=6, batch_size=16, lr=0.01)


def learnable() -> ScenesInParts:
    whole = articles_on_photos()
    train = Scenes(whole.train.pixels[:800], whole.train.targets[:800])
    return replace(some(whole, 100), train=train)


def test_articles_are_found_in_scenes_and_on_photos_never_seen(tmp_path: Path) -> None:
    result = trained(tmp_path, LEARNS, learnable(), config=FINDER)

    assert result.score["ap50"] > 0.25
    assert result.test["ap50"] > 0.25
    assert result.score["accuracy"] == result.accuracy < result.score["ap50"]
    assert result.history[-1]["validation_loss"] < result.history[0]["validation_loss"]


def test_with_shuffled_labels_what_they_are_is_not_learned(tmp_path: Path) -> None:
    scenes = learnable()
    labels = torch.cat([target["labels"] for target in scenes.train.targets])
    dealt = iter(labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))].tolist())
    targets = [
        {**target, "labels": torch.tensor([next(dealt) for _ in target["labels"]])} for target in scenes.train.targets
    ]

    result = trained(tmp_path, LEARNS, replace(scenes, train=Scenes(scenes.train.pixels, targets)), config=FINDER)

    assert result.score["ap50"] < 0.15
    assert result.test["ap50"] < 0.15
