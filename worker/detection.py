"""Detection as a task to train: SSDLite on scenes, scored with COCO's mean average precision."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn

from app.datasets import Part
from app.recipes import Recipe
from app.scaling.architecture import Config
from worker.devices import Device
from worker.images import Inputs, Normalisation, offsets, shifted
from worker.scenes import ScenesInParts
from worker.ssdlite import SSDLite, Target
from worker.training import Drawn

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
    """How good a detector is: COCO's average precisions, and the mean training loss."""

    precision: Precision
    loss: float

    @property
    def value(self) -> float:
        """What selection maximises."""
        return self.precision.map

    def entry(self) -> dict[str, float]:
        """What an epoch's history has of it."""
        return {"accuracy": self.value, "ap50": self.precision.ap50, "loss": self.loss}

    def report(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {**self.entry(), "ap75": self.precision.ap75, "by_class": self.precision.by_class}


@dataclass(frozen=True)
class Batch:
    """Images as the network takes them, and what is in them, in px of the network."""

    images: Tensor
    targets: list[Target]

    def on(self, device: Device) -> Batch:
        targets = [{name: device.take(value) for name, value in target.items()} for target in self.targets]
        return Batch(device.take(self.images), targets)


class Detection:
    """SSDLite on a config, the scenes that it is to find articles in, and how wrong it is (`worker.training.Task`).

    Raises: ValueError where the config's classes are not the data's.
    """

    metric = "map"

    def __init__(self, config: Config, recipe: Recipe, scenes: ScenesInParts, device: Device) -> None:
        if config.num_classes != scenes.num_classes:
            raise ValueError(f"the network has {config.num_classes} classes, the data {scenes.num_classes}")
        self._config, self._recipe, self._device, self._scenes = config, recipe, device, scenes.parts
        self.images = len(scenes.train)
        self.identity = {"config": config.to_json(), "data": scenes.digest, "task": "detection"}
        self.provenance = scenes.provenance()
        normalisation = Normalisation.of(scenes.train.images)
        self._inputs = {
            name: Inputs(part.images, config.in_chans, config.resolution, normalisation).prepare()
            for name, part in self._scenes.items()
        }
        self._scale = config.resolution / scenes.train.images.px  # from px of the scenes to the network's

    def build(self) -> nn.Module:
        return SSDLite(self._config, self._recipe.drop_path)

    def batches(self, order: list[Drawn]) -> Iterator[Batch]:
        for drawn in order:
            random = torch.Generator().manual_seed(drawn.seed)
            yield moved(self._batch("train", drawn.images), self._recipe, random)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        batch = batch.on(self._device)
        return _detector(network).loss(network(batch.images), batch.targets), {}

    @torch.inference_mode()
    def score(self, network: nn.Module, part: Part, look: Callable[[], None]) -> Score:
        """Boxes are compared in the scenes' own px; the network's mode is put back afterwards."""
        training = network.training
        network.eval()
        found: list[Target] = []
        losses = 0.0
        scenes = self._scenes[part]
        for chosen in torch.arange(len(scenes)).split(_AT_ONCE):
            look()
            batch = self._batch(part, chosen).on(self._device)
            output = network(batch.images)
            losses += float(_detector(network).loss(output, batch.targets)) * len(chosen)
            found += _detector(network).detections(output)
        network.train(training)
        found = [{**one, "boxes": one["boxes"] / self._scale} for one in found]
        precision = average_precision(found, scenes.targets, self._config.num_classes)
        return Score(precision, losses / len(scenes))

    def _batch(self, part: Part, chosen: Tensor) -> Batch:
        of_part = self._scenes[part].targets
        targets = [{**of_part[i], "boxes": of_part[i]["boxes"] * self._scale} for i in chosen.tolist()]
        return Batch(self._inputs[part][chosen], targets)


def _detector(network: nn.Module) -> SSDLite:
    assert isinstance(network, SSDLite)
    return network


def moved(batch: Batch, recipe: Recipe, random: torch.Generator) -> Batch:
    """Images and boxes mirrored and shifted as the recipe says, each image by its own draw; edges are repeated.

    A box is cut at the edge; what shows less than three tenths of it is no longer a target.
    """
    images, targets = batch.images, batch.targets
    px = images.shape[-1]
    if recipe.flip:
        mirrored = torch.rand(len(images), generator=random) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        targets = [_mirrored(t, px) if m else t for t, m in zip(targets, mirrored.tolist(), strict=True)]
    reach = round(recipe.shift * px)
    if reach:
        by = offsets(len(images), reach, random)
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
