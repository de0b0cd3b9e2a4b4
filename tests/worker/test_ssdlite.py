"""Any config is a detector: its maps, its boxes, its loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from app.scaling.architecture import Config
from tests.worker.support import SMALL, TINY
from tests.worker.test_training_families import OF_EACH, narrow
from worker.networks import build
from worker.ssdlite import SSDLite, Target

WHERE: list[Target] = [
    {"boxes": torch.tensor([[4.0, 6, 30, 28], [40.0, 30, 62, 60]]), "labels": torch.tensor([3, 10])},
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    {"boxes": torch.tensor([[20.0, 20, 44, 50]]), "labels": torch.tensor([1])},
]


def detector(config: Config) -> SSDLite:
    torch.manual_seed(0)
    return SSDLite(config)


def images(config: Config, n: int) -> Tensor:
    return torch.randn(n, config.in_chans, config.resolution, config.resolution, generator=torch.manual_seed(1))


def perfect(network: SSDLite, targets: list[Target]) -> tuple[Tensor, Tensor]:
    """What a network would give that knows: each anchor the box that it is matched with, and the class surely."""
    codes, logits = (
        torch.zeros(len(targets), len(network.anchors), 4),
        torch.zeros(len(targets), len(network.anchors), 11),
    )
    for i, target in enumerate(targets):
        matched = network._matched(target["boxes"])
        own = torch.zeros(len(matched), dtype=torch.int64)
        if len(target["boxes"]):
            own[matched >= 0] = target["labels"][matched[matched >= 0]]
            boxes = target["boxes"][matched.clamp(0)]
            codes[i] = network.box_coder.encode_single(boxes, network.anchors)
        logits[i] = 30 * nn.functional.one_hot(own, 11)
    return codes, logits


@pytest.mark.parametrize("px", [32, 61, 128])
@pytest.mark.parametrize("name", OF_EACH)
def test_a_config_of_any_family_detects_and_learns(name: str, px: int) -> None:
    config = replace(narrow(name), resolution=px)
    network = detector(config)

    loss = network.loss(network(images(config, 3)), WHERE)
    loss.backward()

    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    boxes, scores = network.decoded(network(images(config, 2)))
    assert boxes.shape == (2, len(network.anchors), 4)
    assert scores.shape == (2, len(network.anchors), 10)
    assert boxes.min() >= 0 and boxes.max() <= px
    assert (scores.sum(-1) < 1).all() and scores.min() > 0


@pytest.mark.parametrize("name", OF_EACH)
def test_the_backbones_weights_have_timms_names_and_shapes(name: str) -> None:
    config = narrow(name)
    timms = {name: tensor.shape for name, tensor in build(config).state_dict().items()}

    own = {
        name.removeprefix("backbone."): tensor.shape
        for name, tensor in detector(config).state_dict().items()
        if name.startswith("backbone.")
    }

    assert own.items() <= timms.items()
    assert len(own) > len(timms) / 2


def test_the_maps_are_those_of_strides_16_and_32_and_halves_of_them_down_to_one_pixel() -> None:
    config = replace(narrow("efficientnet_b0"), resolution=128)

    assert len(detector(config).anchors) == 6 * (8 * 8 + 4 * 4 + 2 * 2 + 1)
    assert len(detector(replace(config, resolution=106)).anchors) == 6 * (7 * 7 + 4 * 4 + 2 * 2 + 1)


@pytest.mark.parametrize(("config", "strides"), [(TINY, (2, 4)), (SMALL.baseline, (4, 8))])
def test_a_network_of_fewer_strides_gives_its_last_two(config: Config, strides: tuple[int, int]) -> None:
    config = replace(config, resolution=64)
    sides = [64 // stride for stride in strides]
    while sides[-1] > 1:
        sides.append(sides[-1] // 2)

    assert len(detector(config).anchors) == 6 * sum(side * side for side in sides)


def test_a_network_of_one_map_detects_on_it_alone() -> None:
    config = replace(TINY, resolution=8, stages=TINY.stages[:1])

    assert len(detector(config).anchors) == 6 * (4 * 4 + 2 * 2 + 1)


def test_who_knows_all_has_no_loss_and_finds_each_box_once() -> None:
    network = detector(replace(TINY, resolution=64))

    output = perfect(network, WHERE)

    assert network.loss(output, WHERE) < 1e-3
    for found, there in zip(network.detections(output), WHERE, strict=True):
        order = found["boxes"][:, 0].argsort()
        assert torch.allclose(found["boxes"][order], there["boxes"], atol=1e-3)
        assert found["labels"][order].tolist() == there["labels"].tolist()
        assert (found["scores"] > 0.99).all()


@pytest.mark.parametrize("wrong", ["boxes", "classes"])
def test_who_errs_has_a_loss(wrong: str) -> None:
    network = detector(replace(TINY, resolution=64))
    codes, logits = perfect(network, WHERE)

    output = (codes + 2, logits) if wrong == "boxes" else (codes, logits.roll(1, -1))

    assert network.loss(output, WHERE) > 1


def test_at_most_a_hundred_detections_the_best_first() -> None:
    network = detector(replace(TINY, resolution=64)).eval()

    (found,) = network.detections(network(images(replace(TINY, resolution=64), 1)))

    assert len(found["scores"]) == 100
    assert found["scores"].tolist() == sorted(found["scores"].tolist(), reverse=True)
