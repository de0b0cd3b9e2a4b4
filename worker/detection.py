"""Detection as a task to train: SSDLite on scenes, scored with COCO's mean average precision."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn

from app.recipes import Recipe
from app.scaling.architecture import Config
from worker.images import Inputs, Normalisation, offsets, shifted
from worker.scenes import Scenes, ScenesInParts
from worker.ssdlite import SSDLite, Target

_AT_ONCE = 64  # images, in evaluation
_LEAST_SEEN = 0.3  # of a box that a shift moves over the edge, else it is none


@dataclass(frozen=True)
class Precision:
    """COCO's average precisions, 0 to 1: the mean over IoU .5 to .95 and classes, at .5, at .75, and by class."""

    map: float
    ap50: float
    ap75: float
    by_class: list[float | None]


@dataclass(frozen=True)
class Score:
    """How good a detector is: `value` is COCO's mAP, `loss` the mean training loss on these scenes."""

    value: float
    loss: float
    precision: Precision

    def entry(self) -> dict[str, float]:
        return {"accuracy": self.value, "ap50": self.precision.ap50, "loss": self.loss}

    def report(self) -> dict[str, Any]:
        return {"accuracy": self.value, **asdict(self.precision), "loss": self.loss}


@dataclass(frozen=True)
class Batch:
    """Images as the network takes them, and what is in them."""

    images: Tensor
    targets: list[Target]

    def __len__(self) -> int:
        return len(self.images)


class Detection:
    """SSDLite on a config, trained and scored on scenes."""

    def __init__(self, config: Config, recipe: Recipe, scenes: ScenesInParts) -> None:
        if config.num_classes != scenes.num_classes:
            raise ValueError(f"the network has {config.num_classes} classes, the data {scenes.num_classes}")
        self._config, self._recipe = config, recipe
        self.normalisation = Normalisation.of(scenes.train.images)
        self._parts = {"train": scenes.train, "validation": scenes.validation, "test": scenes.test}
        self._inputs = {
            name: Inputs(part.images, config.in_chans, config.resolution, self.normalisation)
            for name, part in self._parts.items()
        }
        self._scale = config.resolution / scenes.train.pixels.shape[-1]  # from px of the scenes to the network's
        self.images = len(scenes.train)
        self.identity = {"config": config.to_json(), "data": scenes.digest, "task": "detection"}

    def build(self) -> nn.Module:
        """With new weights, from torch's global random numbers."""
        return SSDLite(self._config, self._recipe.drop_path)

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """All scenes but a last one alone, in an order of this seed and epoch, mirrored and shifted as the recipe says."""
        random = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(self.images, generator=random)
        for chosen in order.split(self._recipe.batch_size):
            if len(chosen) > 1:  # batch norm has nothing to normalise over
                yield moved(self._batch("train", chosen), self._recipe, random)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        assert isinstance(network, SSDLite)
        return network.loss(network(batch.images), batch.targets), {}

    @torch.inference_mode()
    def score(self, network: nn.Module, part: Literal["validation", "test"]) -> Score:
        """Detect in all scenes of a part; boxes are compared in the scenes' own px. The mode is put back afterwards."""
        assert isinstance(network, SSDLite)
        training = network.training
        network.eval()
        scenes, found, losses = self._parts[part], [], 0.0
        for chosen in torch.arange(len(scenes)).split(_AT_ONCE):
            batch = self._batch(part, chosen)
            output = network(batch.images)
            losses += float(network.loss(output, batch.targets)) * len(batch)
            found += network.detections(output)
        network.train(training)
        for detected in found:
            detected["boxes"] = detected["boxes"] / self._scale
        truth = [{"boxes": b, "labels": l} for b, l in zip(scenes.boxes, scenes.labels, strict=True)]
        precision = average_precision(found, truth, self._config.num_classes)
        return Score(precision.map, losses / len(scenes), precision)

    def _batch(self, part: str, chosen: Tensor) -> Batch:
        scenes = self._parts[part]
        targets = [{"boxes": scenes.boxes[i] * self._scale, "labels": scenes.labels[i]} for i in chosen.tolist()]
        return Batch(self._inputs[part][chosen], targets)


def moved(batch: Batch, recipe: Recipe, random: torch.Generator) -> Batch:
    """Images and boxes mirrored and shifted as the recipe says, each image by its own draw; edges are repeated.

    A box is cut at the edge; what shows less than three tenths of it is no longer a target.
    """
    images, targets = batch.images, batch.targets
    px = images.shape[-1]
    if recipe.flip:
        mirrored = torch.rand(len(batch), generator=random) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        targets = [_mirrored(t, px) if m else t for t, m in zip(targets, mirrored.tolist(), strict=True)]
    reach = round(recipe.shift * px)
    if reach:
        by = offsets(len(batch), reach, random)
        images = shifted(images, by)
        targets = [_shifted(target, up, left, px) for target, (up, left) in zip(targets, by.T.tolist(), strict=True)]
    return Batch(images, targets)


def average_precision(found: list[Target], truth: list[Target], classes: int) -> Precision:
    """COCO's, by its own library: of an image's detections (with `scores`) the best hundred count."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints whatever it does
        evaluation = COCOeval(_as_coco(truth, classes), _as_coco(found, classes), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, -1]  # [IoU, recall, class], of any area, most detections
    of_class = [precision[:, :, k] for k in range(classes)]
    there = precision[:, :, precision[0, 0] > -1]  # classes that the truth has: -1 marks the others
    at = {iou: int(abs(evaluation.params.iouThrs - iou).argmin()) for iou in (0.5, 0.75)}
    return Precision(
        map=float(there.mean()),
        ap50=float(there[at[0.5]].mean()),
        ap75=float(there[at[0.75]].mean()),
        by_class=[float(own.mean()) if own[0, 0] > -1 else None for own in of_class],
    )


def _as_coco(targets: list[Target], classes: int) -> COCO:
    """Annotations in COCO's form: boxes as x, y, width, height, ids from 1."""
    annotations: list[dict[str, Any]] = []
    for image, target in enumerate(targets, 1):
        scores = target.get("scores", torch.ones(len(target["labels"]))).tolist()
        for (x1, y1, x2, y2), label, score in zip(
            target["boxes"].tolist(), target["labels"].tolist(), scores, strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            one = {"image_id": image, "category_id": label, "bbox": box, "area": box[2] * box[3], "score": score}
            annotations.append({**one, "id": len(annotations) + 1, "iscrowd": 0})
    whole = COCO()
    whole.dataset = {
        "images": [{"id": image} for image in range(1, len(targets) + 1)],
        "categories": [{"id": label} for label in range(1, classes + 1)],
        "annotations": annotations,
    }
    whole.createIndex()
    return whole


def _mirrored(target: Target, px: int) -> Target:
    x1, y1, x2, y2 = target["boxes"].unbind(1)
    return {**target, "boxes": torch.stack([px - x2, y1, px - x1, y2], 1)}


def _shifted(target: Target, up: int, left: int, px: int) -> Target:
    whole = target["boxes"] - torch.tensor([left, up, left, up])
    seen = whole.clamp(0, px)
    kept = _area(seen) >= _LEAST_SEEN * _area(whole)
    return {"boxes": seen[kept], "labels": target["labels"][kept]}


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
