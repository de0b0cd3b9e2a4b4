"""A config built is timm's own network: the same names and shapes, the same numbers out of the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from torch import Tensor, nn

from app.scaling.architecture import Config, Multipliers
from app.scaling.errors import InvalidNetwork
from app.scaling.families import baseline, baselines
from tests.worker.support import SMALL
from worker.networks import build


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def norms(network: nn.Module) -> list[tuple[float, float | None]]:
    return [(m.eps, m.momentum) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def image(config: Config) -> Tensor:
    return torch.rand(1, config.in_chans, config.resolution, config.resolution)


@pytest.mark.parametrize("name", baselines())
def test_every_built_in_baseline_has_timms_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = build(baseline(name).baseline), timm.create_model(name)

    assert shapes(ours) == shapes(theirs)
    assert norms(ours) == norms(theirs)


@pytest.mark.parametrize(
    "name", ["tinynet_e", "efficientnet_b0", "efficientnet_lite1", "mobilenetv2_050", "mobilenetv2_110d"]
)
@torch.inference_mode()
def test_timms_weights_give_the_same_logits_as_timms_network(name: str) -> None:
    config = replace(baseline(name).baseline, resolution=64)
    ours, theirs = build(config).eval(), timm.create_model(name).eval()
    ours.load_state_dict(theirs.state_dict())
    x = image(config)

    assert torch.equal(ours(x), theirs(x))


def test_a_config_read_back_from_plain_data_builds_the_same_network() -> None:
    config = SMALL.scaled(Multipliers(1.0, 1.5, 0.7))

    again = Config.from_json(config.to_json())

    assert again == config
    assert shapes(build(again)) == shapes(build(config))


def test_the_network_takes_the_configs_channels_and_gives_a_logit_a_class() -> None:
    config = replace(SMALL.baseline, in_chans=2, num_classes=7)

    assert build(config).eval()(image(config)).shape == (1, 7)


def test_each_stage_has_the_configs_channels_and_repeats() -> None:
    config = SMALL.scaled(Multipliers(1.0, 1.5, 0.7))
    network = build(config).eval()
    x = network.bn1(network.conv_stem(image(config)))

    for stage, blocks in zip(config.stages, network.blocks, strict=True):
        x = blocks(x)
        assert (x.shape[1], len(blocks)) == (stage.channels, stage.repeats)


@pytest.mark.parametrize(("activation", "layer"), [("relu", nn.ReLU), ("relu6", nn.ReLU6), ("swish", nn.SiLU)])
def test_the_activation_is_the_configs(activation: str, layer: type[nn.Module]) -> None:
    network = build(replace(SMALL.baseline, activation=activation))

    assert any(isinstance(m, layer) for m in network.modules())


def test_dropout_and_stochastic_depth_are_off_unless_asked_for() -> None:
    config = SMALL.baseline
    x = torch.rand(8, config.in_chans, config.resolution, config.resolution)

    plain, dropping = build(config), build(config, drop_rate=0.5, drop_path_rate=0.5)

    assert torch.equal(plain(x), plain(x))
    assert not torch.equal(dropping(x), dropping(x))


def test_what_a_family_cannot_build_is_refused() -> None:
    with pytest.raises(InvalidNetwork):
        build(replace(SMALL.baseline, stem=replace(SMALL.baseline.stem, stride=1)))
