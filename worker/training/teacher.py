"""Teachers: trained classifiers whose logits another network learns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from cachetools import LRUCache
from timm.task.distillation import DistillationTeacher, LogitDistillationTask
from torch import Tensor, nn
from torch.nn import functional

from app.data.recipes import Recipe
from app.data.weight_sources import Distillation
from worker.data.loading import Splits
from worker.data.preprocessing import Normalisation, adapt_channels
from worker.devices import Device
from worker.training.evaluation import evaluate
from worker.training.pretrained import LoadWeights, Pretrained, SourceError

_CACHE: LRUCache[tuple[str, str], Pretrained] = LRUCache(maxsize=2)  # by digest, or timm's name, and architecture


def get_teacher(options: Distillation, load: LoadWeights) -> Pretrained:
    """Return the teacher, from memory if it was used recently. Raises: SourceError."""
    source = options.teacher
    key = source.sha256 or str(source), source.architecture or ""
    if key not in _CACHE:
        _CACHE[key] = load()
    return _CACHE[key]


class Teacher(nn.Module):
    """A trained network that takes images [n, channels, height, width] as they were prepared for a student.

    It sees them in its own channels, normalisation and size. Without a normalisation of its own it takes the student's.
    Raises: SourceError if it has other classes than the student.
    """

    def __init__(self, pretrained: Pretrained, splits: Splits, normalisation: Normalisation, device: Device) -> None:
        super().__init__()
        config = pretrained.config
        if config.num_classes != splits.num_classes:
            raise SourceError(
                f"The teacher ({pretrained.source}) has {config.num_classes} classes, the data {splits.num_classes}."
            )
        if pretrained.classes and splits.classes and pretrained.classes != splits.classes:
            raise SourceError(f"The teacher ({pretrained.source}) has classes of other names than the data.")
        self.source, self.sha256, self.config = pretrained.source, pretrained.sha256, config
        self.network = pretrained.network.eval().requires_grad_(False).to(device.name)
        own = pretrained.normalisation or normalisation
        if len(own.mean) != config.in_chans:
            raise SourceError(f"The teacher ({pretrained.source}) takes {config.in_chans} channels, the data others.")
        values = normalisation.mean, normalisation.sd, own.mean, own.sd
        self._mean, self._sd, self._own_mean, self._own_sd = (
            torch.tensor(value, device=device.name)[:, None, None] for value in values
        )

    def forward(self, images: Tensor) -> Tensor:
        pixels = adapt_channels(images * self._sd + self._mean, self.config.in_chans)
        images = (pixels - self._own_mean) / self._own_sd
        if (*images.shape[-2:],) != self.config.sides:
            images = functional.interpolate(
                images, self.config.sides, mode="bilinear", antialias=True, align_corners=False
            )
        logits: Tensor = self.network(images)
        return logits

    def check(self, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Any]:
        """Score the teacher on validation batches as the student gets them; return the report of the result.

        Raises: SourceError if it is not better than chance.
        """
        score = evaluate(self, batches)
        chance = score.chance()
        if chance is None or not chance.is_better:
            raise SourceError(
                f"The teacher ({self.source}) is no better than chance on the validation part: its accuracy is "
                f"{score.top1:.4f}. Was it trained on these classes?"
            )
        px = list(self.config.sides)
        return {"source": self.source, "sha256": self.sha256, "accuracy": score.top1, "loss": score.loss, "px": px}


def distillation_task(network: nn.Module, teacher: Teacher, recipe: Recipe) -> LogitDistillationTask:
    """Return timm's loss of labels and teacher's logits; it maps images and labels to `loss` and `output`."""
    options = recipe.distill
    assert options is not None
    # timm normalises images again for the teacher, which `Teacher` has done: no means and deviations to replace.
    for module in (network, teacher):
        module.pretrained_cfg = {"mean": (0.0,), "std": (1.0,)}  # type: ignore[assignment]
    return LogitDistillationTask(
        network,
        DistillationTeacher(teacher),
        criterion=nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        task_loss_weight=1 - options.weight,
        distill_loss_weight=options.weight,
        temperature=options.temperature,
        verbose=False,
    )
