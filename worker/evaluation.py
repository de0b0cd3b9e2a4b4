"""How good a network is on images that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.images import Inputs


@dataclass(frozen=True)
class Score:
    """Top-1 and top-5 accuracy (0 to 1), the mean cross-entropy, and top-1 by class (none where no image is of it)."""

    top1: float
    top5: float
    loss: float
    by_class: list[float | None]


@torch.inference_mode()
def evaluate(network: nn.Module, images: Inputs) -> Score:
    """Score a network; its mode is put back afterwards."""
    training = network.training
    network.eval()
    logits = torch.cat([network(images[batch]) for batch in images.batches()])
    network.train(training)
    best = ranked(logits, images.labels)
    return Score(
        top1=float(best[:, 0].double().mean()),
        top5=float(best.any(1).double().mean()),
        loss=float(functional.cross_entropy(logits.double(), images.labels)),
        by_class=[
            float(best[of_class, 0].double().mean()) if (of_class := images.labels == label).any() else None
            for label in range(logits.shape[1])
        ],
    )


def ranked(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each of an image's best guesses is right, best first, [n, 5], or fewer where there are fewer classes."""
    return logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
