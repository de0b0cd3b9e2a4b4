from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.network import Architecture, Config, Multipliers, Stage
from app.scaling.predictors.published_tinynets import TINYNETS
from tests.scaling.baselines import ARCHITECTURES, B0, B0_AS_EFFICIENTNET

MULTIPLIERS = st.builds(Multipliers, st.floats(0.1, 2), st.floats(0.1, 3), st.floats(0.05, 3))
EFFICIENTNETS = [f"efficientnet_b{i}" for i in range(8)]
TINYNET_NAMES = [net.name for net in TINYNETS]


@lru_cache
def of_timm(name: str) -> torch.nn.Module:
    with torch.device("meta"):
        return timm.create_model(name)


def stages_of_timm(model: torch.nn.Module) -> list[tuple[int, int, int, int]]:
    """Repeats, channels, kernel and stride of each stage."""
    stages = []
    for blocks in model.blocks:
        first = blocks[0]
        last_conv = first.conv_pwl if hasattr(first, "conv_pwl") else first.conv_pw
        stages.append((len(blocks), last_conv.out_channels, first.conv_dw.kernel_size[0], max(first.conv_dw.stride)))
    return stages


@pytest.mark.parametrize("name", [*EFFICIENTNETS, *TINYNET_NAMES])
def test_built_in_network_has_timms_stages(name: str) -> None:
    config, model = families.baseline(name).baseline, of_timm(name)

    assert [(s.repeats, s.channels, s.kernel, s.stride) for s in config.stages] == stages_of_timm(model)
    assert config.stem.channels == model.conv_stem.out_channels
    assert config.head.channels == model.conv_head.out_channels


@pytest.mark.parametrize("name", [*EFFICIENTNETS, *TINYNET_NAMES])
def test_built_in_network_has_timms_parameter_count(name: str) -> None:
    built = sum(parameter.numel() for parameter in of_timm(name).parameters())

    assert families.network_cost(families.baseline(name).baseline).params == built


@pytest.mark.parametrize("net", TINYNETS, ids=TINYNET_NAMES)
def test_tinynet_is_b0_at_published_multipliers(net: object) -> None:
    assert B0.scale(net.multipliers) == families.baseline(net.name).baseline  # type: ignore[attr-defined]


def test_tinynets_have_the_published_input_sizes() -> None:
    sizes = [families.baseline(name).baseline.resolution for name in TINYNET_NAMES]

    assert sizes == [192, 188, 184, 152, 106]
    assert sizes == [timm.get_pretrained_cfg(name).input_size[-1] for name in TINYNET_NAMES]


def test_efficientnets_have_the_published_input_sizes() -> None:
    sizes = [families.baseline(name).baseline.resolution for name in EFFICIENTNETS]

    assert sizes == [224, 240, 260, 300, 380, 456, 528, 600]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_multipliers_of_one_change_only_rounding(architecture: Architecture) -> None:
    same = architecture.scale(Multipliers(1, 1, 1))

    assert same.resolution == architecture.baseline.resolution
    assert [s.repeats for s in same.stages] == [s.repeats for s in architecture.baseline.stages]
    assert all(s.channels % architecture.rules.divisor == 0 for s in same.stages)


def test_tinynet_rules_fix_stem_and_floor_head() -> None:
    narrow, wide = B0.scale(Multipliers(1, 1, 0.5)), B0.scale(Multipliers(1, 1, 1.5))

    assert (narrow.stem.channels, narrow.head.channels) == (32, 1280)
    assert (wide.stem.channels, wide.head.channels) == (32, 1920)


def test_efficientnet_rules_scale_stem_and_head() -> None:
    narrow = B0_AS_EFFICIENTNET.scale(Multipliers(1, 1.1, 0.5))

    assert (narrow.stem.channels, narrow.head.channels) == (16, 640)
    assert [s.repeats for s in narrow.stages] == [2, 3, 3, 4, 4, 5, 2]


@given(st.sampled_from(ARCHITECTURES), MULTIPLIERS)
def test_a_config_survives_json(architecture: Architecture, multipliers: Multipliers) -> None:
    config = architecture.scale(multipliers)

    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_survives_json(architecture: Architecture) -> None:
    assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture


@given(st.sampled_from(ARCHITECTURES), st.lists(st.floats(0.01, 4), min_size=1, max_size=8))
def test_array_of_widths_gives_each_widths_channels(architecture: Architecture, widths: list[float]) -> None:
    repeats = architecture.repeats(1.0)
    together = architecture.assemble(64, repeats, np.array(widths))

    for i, width in enumerate(widths):
        alone = architecture.assemble(64, repeats, width)
        assert [np.broadcast_to(s.channels, len(widths))[i] for s in together.stages] == [
            s.channels for s in alone.stages
        ]
        assert np.broadcast_to(together.head.channels, len(widths))[i] == alone.head.channels
        assert np.broadcast_to(together.stem.channels, len(widths))[i] == alone.stem.channels


def test_other_classes_change_the_classifier_alone() -> None:
    ten = B0.adapt(10)

    assert ten.baseline.num_classes == 10
    assert ten.adapt(1000) == B0


def test_equal_stages_are_the_same_text() -> None:
    """What identifies a trial is made of it, and a cache may return an equal stage for another one."""
    whole = Stage("ir", repeats=2, channels=16, expansion=3, se_ratio=1)
    decimal = Stage("ir", repeats=2, channels=16, expansion=3.0, se_ratio=1.0)

    assert whole == decimal
    assert json.dumps(whole.to_json()) == json.dumps(decimal.to_json())
