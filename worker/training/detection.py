"""Object detection: SSDLite on scenes, scored with COCO's mean average precision."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torchvision.ops import box_area, clip_boxes_to_image

from app.data.builtin_datasets import Part
from app.data.recipes import Recipe
from app.scaling.network import Config
from worker.data.preprocessing import NetworkInputs, Normalisation, draw_flips, draw_shifts, flip, shift
from worker.data.scenes import SceneSplits
from worker.devices import Device
from worker.training.inheritance import initialise
from worker.training.loop import BatchIndices, run_checks
from worker.training.pretrained import LoadWeights
from worker.training.ssdlite import SSDLite, Target

_EVALUATION_BATCH = 64
_MIN_VISIBLE_SHARE = 0.3  # a box that a shift leaves less visible than this is removed


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's average precision, 0 to 1: the mean over IoU .5 to .95 and classes, at .5, at .75, and by class."""

    map: float
    ap50: float
    ap75: float
    by_class: list[float | None]


@dataclass(frozen=True)
class DetectionScore:
    """COCO's average precision and the mean loss."""

    precision: AveragePrecision
    loss: float
    classes: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        return self.precision.map

    def history_entry(self) -> dict[str, float]:
        return {"accuracy": self.value, "ap50": self.precision.ap50, "loss": self.loss}

    def to_json(self) -> dict[str, Any]:
        """Return all metrics, with the average precision of each class."""
        names = self.classes or tuple(map(str, range(len(self.precision.by_class))))
        by_class = [{"class": name, "ap": value} for name, value in zip(names, self.precision.by_class, strict=True)]
        return {**self.history_entry(), "ap75": self.precision.ap75, "by_class": by_class}

    def chance(self) -> None:
        """Chance has no average precision."""

    def write_files(self, folder: Path) -> None:
        """Write nothing: the result has everything."""


@dataclass(frozen=True)
class Batch:
    """Images as the network takes them, and their targets in pixels of the network's input."""

    images: Tensor
    targets: list[Target]

    def place_on(self, device: Device) -> Batch:
        targets = [{name: device.place(value) for name, value in target.items()} for target in self.targets]
        return Batch(device.place(self.images), targets)


class Detection:
    """An SSDLite detector, its scenes and its loss; implements `worker.training.loop.Task`.

    `init` loads the initial weights of the backbone, if they are not random.
    Raises: ValueError if the config and the data have different numbers of classes.
    """

    metric = "map"

    def __init__(
        self,
        config: Config,
        recipe: Recipe,
        scenes: SceneSplits,
        device: Device,
        *,
        init: LoadWeights | None = None,
    ) -> None:
        self._init = init
        self._classes = scenes.classes
        if config.num_classes != scenes.num_classes:
            raise ValueError(f"the network has {config.num_classes} classes, the data {scenes.num_classes}")
        self._config, self._recipe, self._device, self._scenes = config, recipe, device, scenes.parts
        self.train_images = len(scenes.train)
        self.identity = {"config": config.to_json(), "data": scenes.digest, "task": "detection"}
        self.provenance = scenes.provenance()
        normalisation = Normalisation.from_images(scenes.train.images, config.in_chans)
        self._inputs = {
            name: NetworkInputs(part.images, config.in_chans, config.resolution, normalisation).prepare()
            for name, part in self._scenes.items()
        }
        self._scale = config.sides[1] / scenes.train.images.px  # from pixels of the scenes to the network's

    def build(self) -> nn.Module:
        return SSDLite(self._config, self._recipe.drop_path)

    def trainable(self, network: nn.Module) -> nn.Module:
        return network

    def prepare(
        self, network: nn.Module, order: list[BatchIndices], check_stop: Callable[[], None]
    ) -> dict[str, dict[str, Any]]:
        if self._init is None:
            return {}
        images = (self._device.place(batch.images) for batch in run_checks(self.batches(order), check_stop))
        return {"init": initialise(network, self._config, self._init(), self._classes, images)}

    def batches(self, order: list[BatchIndices]) -> Iterator[Batch]:
        for indices in order:
            generator = torch.Generator().manual_seed(indices.seed)
            yield augment(self._make_batch("train", indices.images), self._recipe, generator)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        batch = batch.place_on(self._device)
        return _as_detector(network).loss(network(batch.images), batch.targets), {}

    @torch.inference_mode()
    def score(self, network: nn.Module, part: Part, check_stop: Callable[[], None]) -> DetectionScore:
        """Score boxes in pixels of the scenes; the network's training mode is restored afterwards."""
        training = network.training
        network.eval()
        detections: list[Target] = []
        total_loss = 0.0
        scenes = self._scenes[part]
        for indices in torch.arange(len(scenes)).split(_EVALUATION_BATCH):
            check_stop()
            batch = self._make_batch(part, indices).place_on(self._device)
            output = network(batch.images)
            total_loss += float(_as_detector(network).loss(output, batch.targets)) * len(indices)
            detections += _as_detector(network).detections(output)
        network.train(training)
        detections = [{**detected, "boxes": detected["boxes"] / self._scale} for detected in detections]
        precision = average_precision(detections, scenes.targets, self._config.num_classes)
        return DetectionScore(precision, total_loss / len(scenes), self._classes)

    def _make_batch(self, part: Part, indices: Tensor) -> Batch:
        scenes = (self._scenes[part].targets[i] for i in indices.tolist())
        targets = [{**target, "boxes": target["boxes"] * self._scale} for target in scenes]
        return Batch(self._inputs[part][indices], targets)


def _as_detector(network: nn.Module) -> SSDLite:
    assert isinstance(network, SSDLite)
    return network


def augment(batch: Batch, recipe: Recipe, generator: torch.Generator) -> Batch:
    """Flip and shift images with their boxes as the recipe says, each image at random; edges are repeated.

    Boxes are clipped to the image, and removed if less than three tenths of them remain visible.
    """
    images, targets = batch.images, batch.targets
    px = images.shape[-1]
    if recipe.flip:
        flips = draw_flips(len(images), generator)
        images = flip(images, flips)
        targets = [_flip_boxes(t, px) if flipped else t for t, flipped in zip(targets, flips.tolist(), strict=True)]
    reach = round(recipe.shift * px)
    if reach:
        offsets = draw_shifts(len(images), (reach, reach), generator)
        images = shift(images, offsets)
        targets = [_shift_boxes(t, up, left, px) for t, (up, left) in zip(targets, offsets.T.tolist(), strict=True)]
    return Batch(images, targets)


def average_precision(detections: list[Target], truth: list[Target], classes: int) -> AveragePrecision:
    """Compute COCO's average precision with pycocotools: the best hundred detections of each image count."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(_to_coco(truth, classes), _to_coco(detections, classes), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, -1]  # [IoU, recall, class] for any area and most detections
    present = precision[:, :, precision[0, 0] > -1]  # -1 marks classes that the truth does not have
    index = {iou: int(abs(evaluation.params.iouThrs - iou).argmin()) for iou in (0.5, 0.75)}
    by_class = [precision[:, :, k] for k in range(classes)]
    return AveragePrecision(
        map=float(present.mean()),
        ap50=float(present[index[0.5]].mean()),
        ap75=float(present[index[0.75]].mean()),
        by_class=[float(values.mean()) if values[0, 0] > -1 else None for values in by_class],
    )


def _to_coco(targets: list[Target], classes: int) -> COCO:
    """Convert targets to COCO's format: boxes as x, y, width, height, and ids from 1."""
    annotations: list[dict[str, Any]] = []
    for image, target in enumerate(targets, 1):
        scores = target.get("scores", torch.ones(len(target["labels"]))).tolist()
        for (x1, y1, x2, y2), label, score in zip(
            target["boxes"].tolist(), target["labels"].tolist(), scores, strict=True
        ):
            width, height = x2 - x1, y2 - y1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": label,
                    "bbox": [x1, y1, width, height],
                    "area": width * height,
                    "score": score,
                    "iscrowd": 0,
                }
            )
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(1, len(targets) + 1)],
        "categories": [{"id": label} for label in range(1, classes + 1)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _flip_boxes(target: Target, px: int) -> Target:
    x1, y1, x2, y2 = target["boxes"].unbind(1)
    return {**target, "boxes": torch.stack([px - x2, y1, px - x1, y2], 1)}


def _shift_boxes(target: Target, up: int, left: int, px: int) -> Target:
    shifted = target["boxes"] - torch.tensor([left, up, left, up])
    visible = clip_boxes_to_image(shifted, (px, px))
    kept = box_area(visible) >= _MIN_VISIBLE_SHARE * box_area(shifted)
    return {"boxes": visible[kept], "labels": target["labels"][kept]}
