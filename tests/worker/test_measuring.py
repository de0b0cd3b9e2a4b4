"""The analytic cost and fvcore agree to the last digit, by operator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from app.scaling.architecture import EFFICIENTNET_RULES, Architecture, Config, Multipliers, ScalingRules
from app.scaling.families import baseline, baselines, network_cost
from tests.scaling.baselines import SMALLEST_NAMES
from tests.worker.support import SMALL, TINY
from worker.measuring import Measured, measure
from worker.networks import build

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # as an example takes up to seconds
multipliers = st.builds(Multipliers, r=st.floats(0.2, 1.5), d=st.floats(0.3, 1.4), w=st.floats(0.2, 1.5))


def predicted(config: Config) -> Measured:
    cost = network_cost(config)
    counted = {operator: count for operator, count in cost.by_operator.items() if count}
    return Measured(counted, params=cost.params, activations=cost.activations)


def at(architecture: Architecture, resolution: int) -> Architecture:
    return replace(architecture, baseline=replace(architecture.baseline, resolution=resolution))


@given(multipliers)
@settings(deadline=None, max_examples=8)
def test_fvcore_agrees_on_efficientnet_b0_at_any_multipliers(multipliers: Multipliers) -> None:
    config = at(baseline("efficientnet_b0"), 48).scaled(multipliers)

    assert measure(config) == predicted(config)


@given(multipliers, st.sampled_from([SMALL.rules, EFFICIENTNET_RULES]))
@settings(deadline=None, max_examples=12)
def test_fvcore_agrees_on_unequal_stages_by_any_rules(multipliers: Multipliers, rules: ScalingRules) -> None:
    config = replace(SMALL, rules=rules).scaled(multipliers)

    assert measure(config) == predicted(config)


@given(st.integers(8, 40), st.integers(1, 4), st.integers(1, 20))
@settings(deadline=None, max_examples=15)
def test_fvcore_agrees_at_any_input_and_any_number_of_classes(px: int, channels: int, classes: int) -> None:
    config = replace(TINY, resolution=px, in_chans=channels, num_classes=classes)

    assert measure(config) == predicted(config)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b2", *(f"tinynet_{letter}" for letter in "abcde")])
def test_fvcore_agrees_on_the_published_networks_at_their_own_size(name: str) -> None:
    config = baseline(name).baseline

    assert measure(config) == predicted(config)


@pytest.mark.parametrize("name", baselines())
def test_fvcore_agrees_on_every_baseline(name: str) -> None:
    config = replace(baseline(name).baseline, resolution=64)

    assert measure(config) == predicted(config)


@pytest.mark.parametrize("name", SMALLEST_NAMES)
@settings(deadline=None, max_examples=4, phases=UNSHRUNK)
@given(st.integers(33, 96), st.floats(0.3, 1.5), st.floats(0.1, 1.2), st.integers(1, 4), st.integers(1, 20))
def test_fvcore_agrees_on_every_family_at_any_multipliers_and_size(
    name: str, px: int, d: float, w: float, channels: int, classes: int
) -> None:
    scaled = baseline(name).scaled(Multipliers(1, d, w))
    config = replace(scaled, resolution=px, in_chans=channels, num_classes=classes)

    assert measure(config) == predicted(config)


@pytest.mark.parametrize("name", SMALLEST_NAMES)
@torch.inference_mode()
def test_torchs_own_counter_has_twice_the_multiply_adds(name: str) -> None:
    config = replace(baseline(name).scaled(Multipliers(1, 0.7, 0.6)), resolution=75)
    with torch.device("meta"):
        network, image = build(config).eval(), torch.zeros(1, 3, 75, 75)
        with FlopCounterMode(display=False) as counter:
            network(image)

    assert counter.get_total_flops() == 2 * network_cost(config).flops


def test_measuring_says_nothing_about_operators_it_does_not_count(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    measure(TINY)

    assert not any([*capsys.readouterr(), *caplog.messages])
