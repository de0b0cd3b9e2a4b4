"""The accuracy of a classifier on a part of the data."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.atomic_files import replace_atomically
from worker.training.chance import ChanceTest, compare_with_chance

MAX_LISTED_CLASSES = 100  # of more, a result lists the worst ones only
_WORST_CLASSES = 20
_MAX_MATRIX = 20  # classes of a confusion matrix in a result
_WORST_PAIRS = 10
CONFUSION_FILE = "confusion.csv"


@dataclass(frozen=True)
class ClassificationScore:
    """Top-1 and top-5 accuracy (0 to 1), mean cross-entropy, and top-1 by class (None for a class without images).

    `labels` and `guesses` have the number of the true class and of the guessed one for each image, and `classes` the
    names.
    """

    top1: float
    top5: float
    loss: float
    by_class: list[float | None]
    labels: Tensor = field(compare=False)
    guesses: Tensor = field(compare=False)
    classes: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        return self.top1

    def history_entry(self) -> dict[str, float]:
        return {"accuracy": self.top1, "top5": self.top5, "loss": self.loss}

    def to_json(self) -> dict[str, Any]:
        """Return all metrics. The size is bounded: of many classes only the worst are listed."""
        return {
            **self.history_entry(),
            "by_class": self._list_classes(),
            "confusion": self._matrix(),
            "worst_pairs": [
                {"class": self._name(true), "guessed": self._name(guess), "images": images}
                for true, guess, images in self._pairs()
                if true != guess
            ][:_WORST_PAIRS],
        }

    def chance(self) -> ChanceTest | None:
        correct = int((self.labels == self.guesses).sum())
        return compare_with_chance(correct, len(self.labels), int(torch.bincount(self.labels).max()))

    def write_files(self, folder: Path) -> None:
        """Write the numbers of images by class and guess, the most frequent pair first."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("class", "guessed", "images"))
        writer.writerows((self._name(true), self._name(guess), images) for true, guess, images in self._pairs())
        with replace_atomically(folder / CONFUSION_FILE) as opened:
            opened.write(text.getvalue().encode())

    def _name(self, number: int) -> str:
        return self.classes[number] if self.classes else str(number)

    def _list_classes(self) -> list[dict[str, Any]]:
        images = torch.bincount(self.labels, minlength=len(self.by_class)).tolist()
        numbers = list(range(len(self.by_class)))
        if len(numbers) > MAX_LISTED_CLASSES:
            scored = [(accuracy, number) for number, accuracy in enumerate(self.by_class) if accuracy is not None]
            numbers = [number for _, number in sorted(scored)[:_WORST_CLASSES]]
        return [
            {"class": self._name(number), "accuracy": self.by_class[number], "images": images[number]}
            for number in numbers
        ]

    def _matrix(self) -> list[list[int]] | None:
        """Return the numbers of images by class (rows) and guess (columns); None for many classes."""
        classes = len(self.by_class)
        if classes > _MAX_MATRIX:
            return None
        counts = torch.bincount(self.labels * classes + self.guesses, minlength=classes**2)
        return counts.reshape(classes, classes).tolist()

    def _pairs(self) -> list[tuple[int, int, int]]:
        """Return class, guess and number of images of each pair that occurs, the most frequent one first."""
        classes = len(self.by_class)
        codes, images = torch.unique(self.labels * classes + self.guesses, return_counts=True)
        counted = zip(codes.tolist(), images.tolist(), strict=True)
        return [(code // classes, code % classes, n) for code, n in sorted(counted, key=lambda pair: (-pair[1], pair))]


@torch.inference_mode()
def evaluate(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], classes: tuple[str, ...] = ()
) -> ClassificationScore:
    """Score a network on batches of images and labels; its training mode is restored afterwards."""
    training = network.training
    network.eval()
    outputs = [(network(images).float().cpu(), labels.cpu()) for images, labels in batches]
    network.train(training)
    logits, labels = (torch.cat(tensors) for tensors in zip(*outputs, strict=True))
    hits = rank_hits(logits, labels)
    return ClassificationScore(
        top1=float(hits[:, 0].double().mean()),
        top5=float(hits.any(1).double().mean()),
        loss=float(functional.cross_entropy(logits.double(), labels)),
        by_class=_accuracy_by_class(hits[:, 0], labels, logits.shape[1]),
        labels=labels,
        guesses=logits.argmax(1),
        classes=classes,
    )


def _accuracy_by_class(hits: Tensor, labels: Tensor, classes: int) -> list[float | None]:
    """Return the accuracy of each class, None for a class without images."""
    images = torch.bincount(labels, minlength=classes).tolist()
    correct = torch.bincount(labels[hits], minlength=classes).tolist()
    return [n / of if of else None for n, of in zip(correct, images, strict=True)]


def rank_hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Return whether each of the five best guesses is correct, best first: bool [n, 5], or fewer if there are fewer
    classes."""
    return logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
