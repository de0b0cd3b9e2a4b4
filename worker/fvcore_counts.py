"""Costs counted by fvcore on the built network, to check the analytic cost."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import nn

from app.scaling.network import Config
from worker.networks import build

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # fvcore uses torch.jit, which is deprecated
    from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis


_MULTIPLY_ADDS = ("conv", "linear")


@dataclass(frozen=True)
class FvcoreCounts:
    """fvcore's counts for one image in evaluation mode, and the number of learnable parameters."""

    by_operator: dict[str, int]
    activations: int
    params: int

    @property
    def flops(self) -> int:
        """Multiply-adds of convolutions and linear layers."""
        return sum(self.by_operator.get(operator, 0) for operator in _MULTIPLY_ADDS)


def count_config(config: Config) -> FvcoreCounts:
    """Build the network and count; this takes seconds, whereas the analytic cost takes microseconds.

    Raises: InvalidNetwork if the config's family cannot build it.
    """
    return count_network(build(config), config)


def count_network(network: nn.Module, config: Config) -> FvcoreCounts:
    """Count a network whose input is the config's; it is left in evaluation mode."""
    network.eval()
    image = torch.zeros(1, config.in_chans, *config.sides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flops, activations = FlopCountAnalysis(network, image), ActivationCountAnalysis(network, image)
        for analysis in (flops, activations):
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return FvcoreCounts(
            {operator: int(count) for operator, count in flops.by_operator().items()},
            int(activations.total()),
            sum(p.numel() for p in network.parameters()),
        )
