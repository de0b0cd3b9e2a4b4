"""How good a network is on images that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from worker.images import Inputs


@dataclass(frozen=True)
class Score:
    """Top-1 and top-5 accuracy (0 to 1) and the mean cross-entropy."""

    top1: float
    top5: float
    loss: float


@torch.inference_mode()
def evaluate(network: nn.Module, images: Inputs) -> Score:
    """Score a network; its mode is put back afterwards."""
    training = network.training
    network.eval()
    logits = torch.cat([network(images[batch]) for batch in images.batches()])
    network.train(training)
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == images.labels[:, None]
    return Score(
        top1=float(best[:, 0].double().mean()),
        top5=float(best.any(1).double().mean()),
        loss=float(functional.cross_entropy(logits.double(), images.labels)),
    )
