"""Image classification, the task of the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from timm.task.distillation import FeatureDistillationTask, LogitDistillationTask
from torch import Tensor, nn
from torch.nn import functional

from app.data.builtin_datasets import Part
from app.data.recipes import Recipe
from app.scaling.network import Config
from worker.data.augmentation import Augmentation
from worker.data.batches import BatchLoader, BatchRequest
from worker.data.loading import Splits
from worker.data.preprocessing import NetworkInputs, Normalisation
from worker.devices import Device
from worker.networks import build
from worker.training.evaluation import ClassificationScore, evaluate, rank_hits
from worker.training.inheritance import initialise
from worker.training.loop import BatchIndices, run_checks
from worker.training.pretrained import LoadWeights, Pretrained
from worker.training.teacher import Teacher, distillation_task

Batch = tuple[Tensor, Tensor]


class Classification:
    """A classifier, its images and its loss; implements `worker.training.loop.Task`.

    `init` loads the initial weights, if they are not random, and `teacher` is what `recipe.distill` distils.
    Raises: SourceError if the teacher has other classes; ValueError if the config and the data have different numbers
    of classes.
    """

    metric = "top1"

    def __init__(
        self,
        config: Config,
        recipe: Recipe,
        splits: Splits,
        device: Device,
        loaders: int = 1,
        *,
        init: LoadWeights | None = None,
        teacher: Pretrained | None = None,
    ) -> None:
        if config.num_classes != splits.num_classes:
            raise ValueError(f"the network has {config.num_classes} classes, the data {splits.num_classes}")
        self._config, self._recipe, self._device, self._classes = config, recipe, device, splits.classes
        self.train_images = len(splits.train)
        self.identity = {"config": config.to_json(), "data": splits.digest}
        normalisation = Normalisation.from_images(splits.train, config.in_chans)
        self._init = init
        self._teacher: Teacher | None = None
        self._distillation: LogitDistillationTask | FeatureDistillationTask | None = None
        if teacher is not None:
            self._teacher = Teacher(teacher, splits, normalisation, device)
            self.identity["teacher"] = teacher.sha256
        self.provenance = {**splits.provenance(), "normalisation": normalisation.to_json()}
        self._parts = {
            name: NetworkInputs(
                part, config.in_chans, config.resolution, normalisation, 1.0 if name == "train" else recipe.crop_pct
            )
            for name, part in splits.parts.items()
        }
        augmentation = Augmentation(self._parts["train"], recipe)
        all_in_memory = all(part.is_in_memory for part in self._parts.values())
        uses_loaders = not all_in_memory or (augmentation.is_per_image and device.is_cuda)
        if not uses_loaders:
            for name, part in self._parts.items():
                if name != "train" or not augmentation.is_per_image:  # that augments the stored images
                    part.prepare()
        self._loader = BatchLoader(
            self._parts,
            augmentation,
            loaders if uses_loaders else 0,
            recipe.batch_size,
            pin_memory=device.is_cuda,
        )

    def build(self) -> nn.Module:
        network = build(self._config, drop_rate=self._recipe.dropout, drop_path_rate=self._recipe.drop_path)
        if self._teacher is not None:
            self._distillation = distillation_task(network, self._teacher, self._recipe)
        return network

    def trainable(self, network: nn.Module) -> nn.Module:
        return network if self._distillation is None else self._distillation.trainable_module

    def prepare(
        self, network: nn.Module, order: list[BatchIndices], check_stop: Callable[[], None]
    ) -> dict[str, dict[str, Any]]:
        reports = {}
        if self._init is not None:
            source = self._init()
            images = (self._device.place(images) for images, _ in run_checks(self.batches(order), check_stop))
            reports["init"] = initialise(network, self._config, source, self._classes, images)
        if self._teacher is not None:
            reports["teacher"] = self._teacher.check(self._evaluation_batches("validation", check_stop))
        return reports

    def batches(self, order: list[BatchIndices]) -> Iterator[Batch]:
        return self._loader.batches([BatchRequest("train", batch.images, batch.seed) for batch in order])

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = (self._device.place(tensor) for tensor in batch)
        if self._distillation is not None:  # of this network
            output = self._distillation(images, labels)
            loss, logits = output["loss"], output["output"]
        else:
            logits = network(images)
            loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self._recipe.label_smoothing)
        hits = rank_hits(logits.detach(), labels)
        return loss, {"accuracy": hits[:, 0].sum(), "top5": hits.sum()}

    def score(self, network: nn.Module, part: Part, check_stop: Callable[[], None]) -> ClassificationScore:
        return evaluate(network, self._evaluation_batches(part, check_stop), self._classes)

    def _evaluation_batches(self, part: Part, check_stop: Callable[[], None]) -> Iterator[Batch]:
        for images, labels in run_checks(self._loader.all_batches(part), check_stop):
            yield self._device.place(images), labels
