"""Networks inherit evenly spaced channels and the first blocks, so that layers fit together."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from app.scaling import families
from app.scaling.families.inheritance import block_names
from app.scaling.network import Architecture, Config, Multipliers, Stage
from tests.worker.support import SMALL, TINY
from worker.networks import build
from worker.training.inheritance import inherit
from worker.training.pretrained import Pretrained, SourceError
from worker.training.ssdlite import SSDLite

BASELINES = (
    "efficientnet_b0", "mobilenetv2_100", "mobilenetv3_small_100", "mnasnet_small", "fbnetc_100", "lcnet_050",
    "hardcorenas_a", "mobilenetv1_100", "ghostnet_100", "regnetx_002", "regnety_002", "resnet18", "resnet50",
    "resnext50_32x4d", "convnext_atto",
)  # fmt: skip
QUICK = ("mobilenetv3_small_100", "ghostnet_100", "regnety_002", "resnet18", "resnext50_32x4d", "convnext_atto")
SLOWER = tuple(pytest.param(name, marks=pytest.mark.exhaustive) for name in BASELINES if name not in QUICK)
every_family = pytest.mark.parametrize("name", (*QUICK, *SLOWER))
# A layer norm also depends on the channels that are left out or taken twice.
every_batch_norm = pytest.mark.parametrize("name", (*QUICK[:-1], *SLOWER))

SIDE = 32


def baseline(name: str) -> Architecture:
    return SMALL if name == "small" else families.baseline(name).adapt(num_classes=10)


def scaled(architecture: Architecture, d: float, w: float) -> Config:
    return replace(architecture.scale(Multipliers(1.0, d, w)), resolution=SIDE)


def pretrained(config: Config, network: nn.Module | None = None) -> Pretrained:
    """Return a network with random weights and statistics as if it had been trained."""
    if network is None:
        network = build(config)
        generator = torch.Generator().manual_seed(0)
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
                tensor.copy_((noise - 0.5) * (12 / fan_in) ** 0.5 if tensor.ndim > 1 else noise * 0.5 + 0.5)
    return Pretrained("a test's weights", "0" * 64, network.eval(), config)


def origins(source: Config, config: Config) -> dict[str, tuple[list[int], list[int]]]:
    """Return from which outputs and inputs of the source's tensor each tensor of a network inherits."""
    found: dict[str, list[list[int]]] = {}
    for dim in (0, 1):
        network = build(source)
        for tensor in network.state_dict().values():
            if tensor.ndim > dim:
                shape = [-1 if axis == dim else 1 for axis in range(tensor.ndim)]
                tensor.copy_(torch.arange(tensor.shape[dim]).reshape(shape).expand(tensor.shape))
        child = build(config)
        inherit(child, config, pretrained(source, network))
        for name, tensor in child.state_dict().items():
            if tensor.ndim:
                first = tensor if tensor.ndim == 1 else tensor.transpose(0, dim).reshape(tensor.shape[dim], -1)[:, 0]
                index = first.tolist() if tensor.ndim > dim else [0]
                found.setdefault(name, []).append([round(value) for value in index])
    return {name: (outputs, inputs) for name, (outputs, inputs) in found.items()}


def renamed(source: Config, config: Config) -> dict[str, str]:
    """Return the source's name of each block, found independently of the order of tensors."""
    family = families.get_family(config)
    pairs = zip(block_names(family, config), block_names(family, source), strict=True)
    return {name: origin for wanted, available in pairs for name, origin in zip(wanted, available, strict=False)}


def shortcuts(config: Config) -> list[bool]:
    channels = [config.stem.channels, *(stage.channels for stage in config.stages)]
    return [before == after for before, after in pairwise(channels)]


def two_widths(architecture: Architecture) -> tuple[Config, Config]:
    """Return a random network and a wider one of the same depth with the same shortcuts."""
    generator = random.Random(architecture.name)
    while True:
        d, narrow = generator.uniform(0.4, 1.0), generator.uniform(0.3, 0.7)
        wide = generator.uniform(narrow + 0.1, 1.0)
        pair = scaled(architecture, d, narrow), scaled(architecture, d, wide)
        if shortcuts(pair[0]) == shortcuts(pair[1]) and pair[0] != pair[1]:
            return pair


def outputs(network: nn.Module, config: Config) -> Tensor:
    images = torch.randn(3, config.in_chans, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits: Tensor = network.eval().double()(images.double())
    return logits


@every_family
def test_each_element_is_the_one_of_evenly_spaced_channels(name: str) -> None:
    generator = random.Random(name)
    architecture = baseline(name)
    source = scaled(architecture, 1.0, generator.uniform(0.8, 1.0))
    config = scaled(architecture, generator.uniform(0.4, 0.9), generator.uniform(0.3, 0.7))
    original, child = pretrained(source), build(config)
    inherit(child, config, original)
    state, blocks = original.network.state_dict(), renamed(source, config)
    selected = origins(source, config)
    compared = 0
    for tensor_name, tensor in child.state_dict().items():
        block = next((b for b in blocks if tensor_name.startswith(f"{b}.")), "")
        origin = state.get(blocks.get(block, "") + tensor_name.removeprefix(block))
        if origin is None or tensor.ndim == 0:
            assert "downsample" in tensor_name or "shortcut" in tensor_name or tensor.ndim == 0, tensor_name
            continue
        rows, columns = selected[tensor_name]
        for index, available in zip((rows, columns), origin.shape, strict=False):
            gaps = {after - before for before, after in pairwise(index)}
            if "resnext" not in name and "regnet" not in name:
                assert gaps <= {available // len(index), -(-available // len(index))}
            assert index == sorted(set(index)), "a larger network has every channel once"
        expected = origin[rows] if tensor.ndim == 1 else origin[rows][:, columns]
        assert torch.equal(tensor, expected), tensor_name
        compared += 1
    assert compared > 20


@every_batch_norm
def test_a_layer_takes_what_the_layer_before_it_gives(name: str) -> None:
    """The child computes what the source does if each of the latter's layers ignores the channels that it leaves."""
    config, source = two_widths(baseline(name))
    original, child = pretrained(source), build(config)
    report = inherit(child, config, original)
    assert report["new_layer_count"] == 0
    assert report["classifier"] == "inherited"
    masked = copy.deepcopy(original.network)
    state = masked.state_dict()
    for tensor_name, (_, columns) in origins(source, config).items():
        if state[tensor_name].ndim > 1:
            ignored = torch.ones(state[tensor_name].shape[1], dtype=torch.bool)
            ignored[columns] = False
            state[tensor_name][:, ignored] = 0
    expected = outputs(masked, source)
    assert expected.std() > 1e-3
    assert torch.allclose(outputs(child, config), expected, rtol=1e-4, atol=1e-6)


@every_batch_norm
def test_a_wider_network_computes_the_same(name: str) -> None:
    source, config = two_widths(baseline(name))
    original, child = pretrained(source), build(config)
    report = inherit(child, config, original)
    assert report["share"] == 1
    assert torch.allclose(outputs(child, config), outputs(original.network, source), rtol=1e-4, atol=1e-6)


def test_deeper_network_has_new_blocks() -> None:
    source, config = scaled(SMALL, 1.0, 1.0), scaled(SMALL, 2.0, 1.0)
    child = build(config)
    before = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    original = pretrained(source)
    report = inherit(child, config, original)
    state = child.state_dict()
    assert [stage["blocks"] for stage in report["stages"]] == [[1, 1], [2, 2], [2, 2], [1, 1]]
    assert torch.equal(state["blocks.1.1.conv_pw.weight"], original.network.state_dict()["blocks.1.1.conv_pw.weight"])
    assert torch.equal(state["blocks.1.2.conv_pw.weight"], before["blocks.1.2.conv_pw.weight"])
    assert "blocks.1.2.conv_pw" in report["new_layers"]


def test_joined_stages_take_the_first_blocks_of_each_entry() -> None:
    first = Stage("ir", 3, 16, stride=2, expansion=3)
    stages = (TINY.stages[0], first, replace(first, repeats=2, stride=1, kernel=5, joined=True))
    source = replace(TINY, stages=stages)
    config = replace(TINY, stages=(stages[0], replace(stages[1], repeats=1), replace(stages[2], repeats=2)))
    original, child = pretrained(source), build(config)
    inherit(child, config, original)
    origins = {"blocks.1.0": "blocks.1.0", "blocks.1.1": "blocks.1.3", "blocks.1.2": "blocks.1.4"}
    for name, origin in origins.items():
        weight = original.network.state_dict()[f"{origin}.conv_dw.weight"]
        assert torch.equal(child.state_dict()[f"{name}.conv_dw.weight"], weight)


def test_grey_images_inherit_the_sum_of_the_colours() -> None:
    source = replace(TINY, in_chans=3)
    original, child = pretrained(source), build(TINY)
    inherit(child, TINY, original)
    grey = torch.randn(2, 1, 8, 8)
    with torch.inference_mode():
        assert torch.allclose(child.eval()(grey), original.network(grey.expand(-1, 3, -1, -1)), atol=1e-5)


def test_classifier_of_other_classes_is_new() -> None:
    config = replace(TINY, num_classes=7)
    child = build(config)
    before = child.state_dict()["classifier.weight"].clone()
    report = inherit(child, config, pretrained(TINY))
    assert torch.equal(child.state_dict()["classifier.weight"], before)
    assert report["classifier"] == "new: the source has 10 classes, the network 7"
    assert report["new_layers"] == ["classifier"]
    named = replace(pretrained(TINY), classes=tuple("abcdefghij"))
    assert "other names" in inherit(build(TINY), TINY, named, tuple("0123456789"))["classifier"]


def test_classifier_inherits_the_backbone_of_a_detector() -> None:
    config = replace(TINY, resolution=32)
    detector = SSDLite(config)
    child = build(config)

    report = inherit(child, config, pretrained(config, detector))

    assert report["classifier"] == "new: the source has none"
    assert torch.equal(child.state_dict()["conv_stem.weight"], detector.state_dict()["backbone.conv_stem.weight"])


def test_detector_inherits_the_backbone_of_a_classifier() -> None:
    config = replace(TINY, resolution=32, num_classes=3)
    detector = SSDLite(config)
    original = pretrained(replace(config, num_classes=10))
    report = inherit(detector, config, original)
    assert report["classifier"] is None
    weight = detector.state_dict()["backbone.conv_stem.weight"]
    assert torch.equal(weight, original.network.state_dict()["conv_stem.weight"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"family": "mobilenetv2"}, "of the family efficientnet"),
        ({"stages": TINY.stages[:1]}, "2 stages, the network 1"),
        ({"stages": (TINY.stages[0], replace(TINY.stages[1], kernel=5))}, "stage 2 has other blocks, kernels"),
    ],
)
def test_another_architecture_is_refused(change: dict[str, object], reason: str) -> None:
    config = replace(TINY, **change)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=reason):
        inherit(build(config), config, pretrained(TINY))
