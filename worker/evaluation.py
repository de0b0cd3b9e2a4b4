"""How good a network is at naming images that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Score:
    """Top-1 and top-5 accuracy (0 to 1), the mean cross-entropy, and top-1 by class (none where no image is of it)."""

    top1: float
    top5: float
    loss: float
    by_class: list[float | None]

    @property
    def value(self) -> float:
        """What selection maximises."""
        return self.top1

    def entry(self) -> dict[str, float]:
        """What an epoch's history has of it."""
        return {"accuracy": self.top1, "top5": self.top5, "loss": self.loss}

    def report(self) -> dict[str, Any]:
        """All of it, as plain data."""
        return {**self.entry(), "by_class": self.by_class}


@torch.inference_mode()
def evaluate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Score:
    """Score a network on images and their classes; its mode is put back afterwards."""
    training = network.training
    network.eval()
    scored = [(network(images).float().cpu(), labels.cpu()) for images, labels in batches]
    network.train(training)
    logits, labels = torch.cat([logits for logits, _ in scored]), torch.cat([labels for _, labels in scored])
    best = ranked(logits, labels)
    return Score(
        top1=float(best[:, 0].double().mean()),
        top5=float(best.any(1).double().mean()),
        loss=float(functional.cross_entropy(logits.double(), labels)),
        by_class=[
            float(best[of_class, 0].double().mean()) if (of_class := labels == label).any() else None
            for label in range(logits.shape[1])
        ],
    )


def ranked(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each of an image's best guesses is right, best first, [n, 5], or fewer where there are fewer classes."""
    return logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
