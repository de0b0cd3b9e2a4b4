"""fvcore on the built network: the referee of the analytic cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

from app.scaling.architecture import Config
from worker.networks import build


@dataclass(frozen=True)
class Measured:
    """What fvcore counts for one image in evaluation mode, and the number of learnable parameters."""

    by_operator: dict[str, int]
    activations: int
    params: int


def measure(config: Config) -> Measured:
    """Build the network and count. Seconds, where the analytic cost takes microseconds."""
    network = build(config).eval()
    image = torch.zeros(1, config.in_chans, config.resolution, config.resolution)
    flops = FlopCountAnalysis(network, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    activations = ActivationCountAnalysis(network, image)
    activations.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return Measured(
        {operator: int(count) for operator, count in flops.by_operator().items()},
        int(activations.total()),
        sum(p.numel() for p in network.parameters()),
    )
