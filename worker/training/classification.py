"""Naming what an image shows: the task that the paper's networks are made for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.nn import functional

from app.datasets import Part
from app.recipes import Recipe
from app.scaling.architecture import Config
from worker.augmentation import Augmentation
from worker.datasets import Splits
from worker.devices import Device
from worker.evaluation import Score, evaluate, ranked
from worker.feeding import Feed, Wanted
from worker.images import Inputs, Normalisation
from worker.networks import build
from worker.training import Drawn

Batch = tuple[Tensor, Tensor]


class Classification:
    """A network, the images that it is to name, and how wrong it is (`worker.training.Task`).

    Raises: ValueError where the classifier does not fit the data.
    """

    metric = "top1"

    def __init__(self, config: Config, recipe: Recipe, splits: Splits, device: Device, loaders: int = 1) -> None:
        if config.num_classes != splits.num_classes:
            raise ValueError(f"the network has {config.num_classes} classes, the data {splits.num_classes}")
        self._config, self._recipe, self._device = config, recipe, device
        self.images = len(splits.train)
        self.identity = {"config": config.to_json(), "data": splits.digest}
        self.provenance = splits.provenance()
        normalisation = Normalisation.of(splits.train)
        self._parts = {
            name: Inputs(part, config.in_chans, config.resolution, normalisation) for name, part in splits.parts.items()
        }
        augmentation = Augmentation(self._parts["train"], recipe)
        apart = not all(part.held for part in self._parts.values()) or (augmentation.by_image and device.cuda)
        if not apart:
            self._prepare(augmentation)
        self._feed = Feed(self._parts, augmentation, loaders if apart else 0, pinned=device.cuda)

    def build(self) -> nn.Module:
        return build(self._config, drop_rate=self._recipe.dropout, drop_path_rate=self._recipe.drop_path)

    def batches(self, order: list[Drawn]) -> Iterator[Batch]:
        return self._feed.batches([Wanted("train", batch.images, batch.seed) for batch in order])

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = (self._device.take(tensor) for tensor in batch)
        logits = network(images)
        right = ranked(logits.detach(), labels)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self._recipe.label_smoothing)
        return loss, {"accuracy": right[:, 0].sum(), "top5": right.sum()}

    def score(self, network: nn.Module, part: Part, look: Callable[[], None]) -> Score:
        return evaluate(network, self._seen(part, look))

    def _seen(self, part: Part, look: Callable[[], None]) -> Iterator[Batch]:
        for images, labels in self._feed.in_order(part):
            look()
            yield self._device.take(images), labels

    def _prepare(self, augmentation: Augmentation) -> None:
        for name, part in self._parts.items():
            if name != "train" or not augmentation.by_image:  # then they are changed as they are stored
                part.prepare()
