"""Another name means a baseline only where timm or torchvision builds the same network under it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from torch import nn

from app.scaling.families import baseline, network_cost

TF = [
    *(f"tf_efficientnet_b{i}" for i in range(9)),
    *(f"tf_efficientnet_lite{i}" for i in range(5)),
    *(f"tf_mobilenetv3_{size}" for size in ("large_075", "large_100", "small_075", "small_100")),
]
TORCHVISION = [
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0",
    "regnet_x_800mf", "regnet_x_1_6gf", "regnet_x_3_2gf", "regnet_y_400mf", "regnet_y_1_6gf", "regnet_y_3_2gf",
    "efficientnet_b0", "efficientnet_b7", "resnet18", "resnet152", "resnext50_32x4d", "convnext_tiny",
]  # fmt: skip


def multiply_adds(network: nn.Module, px: int) -> int:
    """Count those of convolutions and linear layers for one image, without computing them."""
    counts = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        per_output = module.weight[0].numel()
        counts.append(output.numel() * per_output)

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, px, px, device="meta"))
    return sum(counts)


def same(name: str, network: nn.Module) -> None:
    config = baseline(name).baseline
    assert sum(parameter.numel() for parameter in network.parameters()) == network_cost(config).params
    for px in (64, 97, config.resolution):
        assert multiply_adds(network, px) == network_cost(replace(config, resolution=px)).flops


@pytest.mark.parametrize("name", [TF[0], *(pytest.param(name, marks=pytest.mark.exhaustive) for name in TF[1:])])
def test_tensorflow_variants_are_the_same_network(name: str) -> None:
    assert baseline(name).name == name.removeprefix("tf_")
    with torch.device("meta"):
        same(name, timm.create_model(name))


@pytest.mark.parametrize(
    "name", [TORCHVISION[0], *(pytest.param(name, marks=pytest.mark.exhaustive) for name in TORCHVISION[1:])]
)
def test_torchvision_names_mean_the_same_network(name: str) -> None:
    same(name, torchvision.models.get_model(name, weights=None).to("meta"))
