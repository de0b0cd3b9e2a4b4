"""The analytic cost equals fvcore's counts exactly, for each operator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from app.scaling.families import baseline, network_cost
from app.scaling.network import EFFICIENTNET_RULES, Architecture, Config, Multipliers, ScalingRules
from app.scaling.resolution import Resolution, to_resolution
from tests.scaling.baselines import EVERY_NAME, SMALLEST_NAMES
from tests.support import example_count
from tests.worker.support import SMALL, TINY
from worker.fvcore_counts import FvcoreCounts, count_config
from worker.networks import build

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking is too slow: an example takes up to seconds
multipliers = st.builds(Multipliers, r=st.floats(0.2, 1.5), d=st.floats(0.3, 1.4), w=st.floats(0.2, 1.5))


def predicted(config: Config) -> FvcoreCounts:
    cost = network_cost(config)
    counted = {operator: count for operator, count in cost.by_operator.items() if count}
    return FvcoreCounts(counted, params=cost.params, activations=cost.activations)


def with_resolution(architecture: Architecture, resolution: Resolution) -> Architecture:
    return replace(architecture, baseline=replace(architecture.baseline, resolution=resolution))


@given(multipliers)
@settings(max_examples=example_count(8))
def test_scaled_efficientnet_b0_costs_what_fvcore_counts(multipliers: Multipliers) -> None:
    config = with_resolution(baseline("efficientnet_b0"), 48).scale(multipliers)

    assert count_config(config) == predicted(config)


@given(multipliers, st.sampled_from([SMALL.rules, EFFICIENTNET_RULES]))
@settings(max_examples=example_count(12))
def test_unequal_stages_cost_what_fvcore_counts(multipliers: Multipliers, rules: ScalingRules) -> None:
    config = replace(SMALL, rules=rules).scale(multipliers)

    assert count_config(config) == predicted(config)


@given(st.integers(8, 40), st.integers(1, 4), st.integers(1, 20))
@settings(max_examples=example_count(15))
def test_any_input_and_classes_cost_what_fvcore_counts(px: int, channels: int, classes: int) -> None:
    config = replace(TINY, resolution=px, in_chans=channels, num_classes=classes)

    assert count_config(config) == predicted(config)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b2", *(f"tinynet_{letter}" for letter in "abcde")])
def test_published_networks_cost_what_fvcore_counts(name: str) -> None:
    config = baseline(name).baseline

    assert count_config(config) == predicted(config)


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_baseline_costs_what_fvcore_counts(name: str) -> None:
    config = replace(baseline(name).baseline, resolution=64)

    assert count_config(config) == predicted(config)


@pytest.mark.parametrize("name", SMALLEST_NAMES)
@settings(max_examples=example_count(4), phases=NO_SHRINKING)
@given(st.integers(33, 96), st.floats(0.3, 1.5), st.floats(0.1, 1.2), st.integers(1, 4), st.integers(1, 20))
def test_every_scaled_family_costs_what_fvcore_counts(
    name: str, px: int, d: float, w: float, channels: int, classes: int
) -> None:
    scaled = baseline(name).scale(Multipliers(1, d, w))
    config = replace(scaled, resolution=px, in_chans=channels, num_classes=classes)

    assert count_config(config) == predicted(config)


@pytest.mark.parametrize("name", ["tinynet_e", "resnet18", "regnety_002", "convnext_atto"])
def test_input_of_two_sides_costs_what_fvcore_counts(name: str) -> None:
    config = with_resolution(baseline(name), (101, 75)).scale(Multipliers(0.5, 0.6, 0.5))

    assert config.sides == (50, 37)
    assert count_config(config) == predicted(config)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SMALLEST_NAMES)
@settings(max_examples=example_count(4), phases=NO_SHRINKING)
@given(st.integers(33, 80), st.integers(33, 80), st.floats(0.3, 1.5), st.floats(0.1, 1.2))
def test_scaled_input_of_two_sides_costs_what_fvcore_counts(
    name: str, height: int, width: int, d: float, w: float
) -> None:
    config = with_resolution(baseline(name), to_resolution((2 * height, 2 * width))).scale(Multipliers(0.5, d, w))

    assert config.sides == (height, width)
    assert count_config(config) == predicted(config)


@pytest.mark.parametrize("name", SMALLEST_NAMES)
@torch.inference_mode()
def test_torchs_flop_counter_counts_twice_the_multiply_adds(name: str) -> None:
    config = replace(baseline(name).scale(Multipliers(1, 0.7, 0.6)), resolution=75)
    with torch.device("meta"):
        network, image = build(config).eval(), torch.zeros(1, 3, 75, 75)
        with FlopCounterMode(display=False) as counter:
            network(image)

    assert counter.get_total_flops() == 2 * network_cost(config).flops


def test_counting_prints_no_warnings(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    count_config(TINY)

    assert not any([*capsys.readouterr(), *caplog.messages])
