"""How good a network is on images that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_BATCH = 512


@dataclass(frozen=True)
class Score:
    """Top-1 and top-5 accuracy (0 to 1) and the mean cross-entropy."""

    top1: float
    top5: float
    loss: float


@torch.inference_mode()
def evaluate(network: nn.Module, pixels: Tensor, labels: Tensor) -> Score:
    """Score a network on prepared images [n, channels, px, px]; its mode is put back afterwards."""
    training = network.training
    network.eval()
    batches = pixels.split(_BATCH)
    logits = torch.cat([network(batch) for batch in batches])
    network.train(training)
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return Score(
        top1=float(best[:, 0].double().mean()),
        top5=float(best.any(1).double().mean()),
        loss=float(functional.cross_entropy(logits.double(), labels)),
    )
