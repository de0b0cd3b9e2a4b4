"""fvcore on the built network: the referee of the analytic cost."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.scaling.architecture import Config
from worker.networks import build

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # fvcore rests on torch.jit, which is deprecated
    from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis


_MULTIPLY_ADDS = ("conv", "linear")


@dataclass(frozen=True)
class Measured:
    """What fvcore counts for one image in evaluation mode, and the number of learnable parameters."""

    by_operator: dict[str, int]
    activations: int
    params: int

    @property
    def flops(self) -> int:
        """Multiply-adds of convolutions and linear layers."""
        return sum(self.by_operator.get(operator, 0) for operator in _MULTIPLY_ADDS)


def measure(config: Config) -> Measured:
    """Build the network and count. Seconds, where the analytic cost takes microseconds.

    Raises: InvalidNetwork where its family cannot build it.
    """
    return counted(build(config), config)


def counted(network: nn.Module, config: Config) -> Measured:
    """Count a network that takes the config's images; it is left in evaluation mode."""
    image = torch.zeros(1, config.in_chans, config.resolution, config.resolution)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _counted(network.eval(), image)


def _counted(network: nn.Module, image: Tensor) -> Measured:
    flops, activations = FlopCountAnalysis(network, image), ActivationCountAnalysis(network, image)
    for analysis in (flops, activations):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return Measured(
        {operator: int(count) for operator, count in flops.by_operator().items()},
        int(activations.total()),
        sum(p.numel() for p in network.parameters()),
    )
