"""Teachers: trained classifiers whose logits or features another network learns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from cachetools import LRUCache
from timm.task.distillation import DistillationTeacher, FeatureDistillationTask, LogitDistillationTask
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
        self.network: Any = pretrained.network.eval().requires_grad_(False).to(device.name)
        own = pretrained.normalisation or normalisation
        if len(own.mean) != config.in_chans:
            raise SourceError(f"The teacher ({pretrained.source}) takes {config.in_chans} channels, the data others.")
        values = normalisation.mean, normalisation.sd, own.mean, own.sd
        self._mean, self._sd, self._own_mean, self._own_sd = (
            torch.tensor(value, device=device.name)[:, None, None] for value in values
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self._prepare(images))
        return logits

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(self._prepare(images))
        return features

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        output: Tensor = self.network.forward_head(features, pre_logits=pre_logits)
        return output

    def _prepare(self, images: Tensor) -> Tensor:
        """Return the images as this network takes them."""
        pixels = adapt_channels(images * self._sd + self._mean, self.config.in_chans)
        images = (pixels - self._own_mean) / self._own_sd
        if (*images.shape[-2:],) != self.config.sides:
            images = functional.interpolate(
                images, self.config.sides, mode="bilinear", antialias=True, align_corners=False
            )
        return images

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


def distillation_task(
    network: nn.Module, teacher: Teacher, recipe: Recipe
) -> LogitDistillationTask | FeatureDistillationTask:
    """Return timm's loss of labels and teacher; it maps images and labels to `loss` and `output`.

    Its `trainable_module` is what an optimizer trains: the network, for features of another size with a projection.
    """
    options = recipe.distill
    assert options is not None
    # timm normalises images again for the teacher, which `Teacher` has done: no means and deviations to replace.
    for module in (network, teacher):
        module.pretrained_cfg = {"mean": (0.0,), "std": (1.0,)}  # type: ignore[assignment]
    common: dict[str, Any] = {
        "teacher_model": DistillationTeacher(teacher),
        "criterion": nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        "task_loss_weight": 1 - options.weight,
        "distill_loss_weight": options.weight,
        "verbose": False,
    }
    if options.match == "logits":
        return LogitDistillationTask(network, **common, temperature=options.temperature)
    common |= {"student_feature_dim": network.head_hidden_size, "teacher_feature_dim": teacher.network.head_hidden_size}
    return FeatureDistillationTask(network, **common)
