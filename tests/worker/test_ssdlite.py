"""Every config makes a detector, with feature maps, boxes and loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from app.scaling.network import Config
from tests.worker.support import SMALL, TINY
from tests.worker.test_training_families import ONE_PER_FAMILY, narrow
from worker.networks import build
from worker.training.ssdlite import SSDLite, Target

TRUTH: list[Target] = [
    {"boxes": torch.tensor([[4.0, 6, 30, 28], [40.0, 30, 62, 60]]), "labels": torch.tensor([3, 10])},
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    {"boxes": torch.tensor([[20.0, 20, 44, 50]]), "labels": torch.tensor([1])},
]


def detector(config: Config) -> SSDLite:
    torch.manual_seed(0)
    return SSDLite(config)


def images(config: Config, n: int) -> Tensor:
    return torch.randn(n, config.in_chans, config.resolution, config.resolution, generator=torch.manual_seed(1))


def perfect_output(network: SSDLite, targets: list[Target]) -> tuple[Tensor, Tensor]:
    """Return the output of a perfect network: the matched box of each anchor, and its class."""
    codes, logits = (
        torch.zeros(len(targets), len(network.anchors), 4),
        torch.zeros(len(targets), len(network.anchors), 11),
    )
    for i, target in enumerate(targets):
        matched = network._match(target["boxes"])
        own = torch.zeros(len(matched), dtype=torch.int64)
        if len(target["boxes"]):
            own[matched >= 0] = target["labels"][matched[matched >= 0]]
            boxes = target["boxes"][matched.clamp(0)]
            codes[i] = network.box_coder.encode_single(boxes, network.anchors)
        logits[i] = 30 * nn.functional.one_hot(own, 11)
    return codes, logits


@pytest.mark.parametrize("px", [32, 61, 128])
@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_detector_of_every_family_has_loss_and_gradients(name: str, px: int) -> None:
    config = replace(narrow(name), resolution=px)
    network = detector(config)

    loss = network.loss(network(images(config, 3)), TRUTH)
    loss.backward()

    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    boxes, scores = network.decode(network(images(config, 2)))
    assert boxes.shape == (2, len(network.anchors), 4)
    assert scores.shape == (2, len(network.anchors), 10)
    assert boxes.min() >= 0 and boxes.max() <= px
    assert (scores.sum(-1) < 1).all() and scores.min() > 0


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_backbone_has_timms_names_and_shapes(name: str) -> None:
    config = narrow(name)
    expected = {name: tensor.shape for name, tensor in build(config).state_dict().items()}

    own = {
        name.removeprefix("backbone."): tensor.shape
        for name, tensor in detector(config).state_dict().items()
        if name.startswith("backbone.")
    }

    assert own.items() <= expected.items()
    assert len(own) > len(expected) / 2


def test_anchors_cover_strides_16_32_and_coarser() -> None:
    config = replace(narrow("efficientnet_b0"), resolution=128)

    assert len(detector(config).anchors) == 6 * (8 * 8 + 4 * 4 + 2 * 2 + 1)
    assert len(detector(replace(config, resolution=106)).anchors) == 6 * (7 * 7 + 4 * 4 + 2 * 2 + 1)


@pytest.mark.parametrize(("config", "strides"), [(TINY, (2, 4)), (SMALL.baseline, (4, 8))])
def test_network_with_fewer_strides_uses_its_last_two(config: Config, strides: tuple[int, int]) -> None:
    config = replace(config, resolution=64)
    sides = [64 // stride for stride in strides]
    while sides[-1] > 1:
        sides.append(sides[-1] // 2)

    assert len(detector(config).anchors) == 6 * sum(side * side for side in sides)


def test_network_with_one_map_detects_on_it() -> None:
    config = replace(TINY, resolution=8, stages=TINY.stages[:1])

    assert len(detector(config).anchors) == 6 * (4 * 4 + 2 * 2 + 1)


def test_perfect_output_has_no_loss_and_finds_each_box() -> None:
    network = detector(replace(TINY, resolution=64))

    output = perfect_output(network, TRUTH)

    assert network.loss(output, TRUTH) < 1e-3
    for detected, target in zip(network.detections(output), TRUTH, strict=True):
        order = detected["boxes"][:, 0].argsort()
        assert torch.allclose(detected["boxes"][order], target["boxes"], atol=1e-3)
        assert detected["labels"][order].tolist() == target["labels"].tolist()
        assert (detected["scores"] > 0.99).all()


@pytest.mark.parametrize("wrong", ["boxes", "classes"])
def test_wrong_output_has_loss(wrong: str) -> None:
    network = detector(replace(TINY, resolution=64))
    codes, logits = perfect_output(network, TRUTH)

    output = (codes + 2, logits) if wrong == "boxes" else (codes, logits.roll(1, -1))

    assert network.loss(output, TRUTH) > 1


def test_at_most_100_detections_sorted_by_score() -> None:
    network = detector(replace(TINY, resolution=64)).eval()

    (detected,) = network.detections(network(images(replace(TINY, resolution=64), 1)))

    assert len(detected["scores"]) == 100
    assert detected["scores"].tolist() == sorted(detected["scores"].tolist(), reverse=True)
