from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.architecture import Architecture, Config, Head, Multipliers, Stage, Stem
from tests.scaling.baselines import ARCHITECTURES, SMALL

# Measured with timm 1.0.31 and fvcore 0.1.5: multiply-adds, fvcore's total and parameters, in millions.
MEASURED = [
    ("tinynet_a", "336.9", "347.7", "6.188"),
    ("tinynet_b", "200.7", "209.6", "3.731"),
    ("tinynet_c", "99.5", "105.3", "2.457"),
    ("tinynet_d", "51.6", "54.4", "2.338"),
    ("tinynet_e", "24.4", "25.8", "2.043"),
    ("efficientnet_b0", "385.8", "399.4", "5.289"),
]

TINY = Config(
    family="efficientnet",
    resolution=16,
    stem=Stem(8),
    stages=(
        Stage("ds", 1, 8, se_ratio=0.25),
        Stage("ir", 2, 16, stride=2, expansion=2, se_ratio=0.5),
    ),
    head=Head(24),
    num_classes=10,
)

# What is alive while each operator of TINY runs: (its input, its output, what waits beside it), in elements.
# Batch norm, activation, gate and addition work in place.
ALIVE_IN_TINY = [
    (3 * 16 * 16, 8 * 8 * 8, 0),  # stem
    (8 * 8 * 8, 8 * 8 * 8, 0),  # ds: depthwise; what waits is its own input
    (8, 2, 8 * 8 * 8 + 8 * 8 * 8),  # ds: squeeze, beside the maps to gate and the shortcut
    (2, 8, 8 * 8 * 8 + 8 * 8 * 8),  # ds: excite
    (8 * 8 * 8, 8 * 8 * 8, 8 * 8 * 8),  # ds: pointwise, beside the shortcut
    (8 * 8 * 8, 16 * 8 * 8, 0),  # first ir: expand; stride 2 has no shortcut
    (16 * 8 * 8, 16 * 4 * 4, 0),  # first ir: depthwise
    (16, 4, 16 * 4 * 4),  # first ir: squeeze
    (4, 16, 16 * 4 * 4),  # first ir: excite
    (16 * 4 * 4, 16 * 4 * 4, 0),  # first ir: project
    (16 * 4 * 4, 32 * 4 * 4, 0),  # second ir: expand; what waits is its own input
    (32 * 4 * 4, 32 * 4 * 4, 16 * 4 * 4),  # second ir: depthwise, beside the shortcut
    (32, 8, 32 * 4 * 4 + 16 * 4 * 4),  # second ir: squeeze
    (8, 32, 32 * 4 * 4 + 16 * 4 * 4),  # second ir: excite
    (32 * 4 * 4, 16 * 4 * 4, 16 * 4 * 4),  # second ir: project
    (16 * 4 * 4, 24 * 4 * 4, 0),  # head
    (24, 10, 0),  # classifier
]
FIRST_OPERATOR = {"stem": 0, "stages.0": 1, "stages.1": 5, "head": 15}


@pytest.mark.parametrize(("name", "flops", "fvcore_total", "params"), MEASURED)
def test_costs_agree_with_the_measured_ones_to_the_printed_digit(
    name: str, flops: str, fvcore_total: str, params: str
) -> None:
    cost = families.network_cost(families.baseline(name).baseline)

    assert f"{cost.flops / 1e6:.1f}" == flops
    assert f"{cost.fvcore_total / 1e6:.1f}" == fvcore_total
    assert f"{cost.params / 1e6:.3f}" == params


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(ARCHITECTURES), st.floats(0.1, 2), st.floats(0.1, 3), st.floats(0.05, 3))
def test_the_stages_sum_to_the_whole(architecture: Architecture, r: float, d: float, w: float) -> None:
    config = architecture.scaled(Multipliers(r, d, w))
    whole, stages = families.network_cost(config), families.stage_costs(config)

    assert [name for name, _ in stages] == ["stem", *(f"stages.{i}" for i in range(len(config.stages))), "head"]
    for operator, operations in whole.by_operator.items():
        assert sum(cost.by_operator[operator] for _, cost in stages) == operations
    assert sum(cost.params for _, cost in stages) == whole.params
    assert sum(cost.activations for _, cost in stages) == whole.activations
    assert max(cost.peak_activation_bytes for _, cost in stages) == whole.peak_activation_bytes


def test_the_peak_memory_is_the_greatest_sum_of_what_is_alive_at_an_operator() -> None:
    alive = [4 * sum(elements) for elements in ALIVE_IN_TINY]
    starts = [*FIRST_OPERATOR.values(), len(alive)]
    by_stage = {
        name: max(alive[first:after])
        for name, first, after in zip(FIRST_OPERATOR, starts[:-1], starts[1:], strict=True)
    }

    assert families.network_cost(TINY).peak_activation_bytes == max(alive)
    assert {name: cost.peak_activation_bytes for name, cost in families.stage_costs(TINY)} == by_stage


def test_the_activations_are_the_elements_that_convolutions_and_linear_layers_put_out() -> None:
    assert families.network_cost(TINY).activations == sum(out for _, out, _ in ALIVE_IN_TINY)


def test_flops_leave_out_batch_norm_and_pooling_and_the_total_has_them() -> None:
    cost = families.network_cost(TINY)
    normalised = 8 * 64 + 2 * 8 * 64 + (16 * 64 + 2 * 16 * 16) + (2 * 32 * 16 + 16 * 16) + 24 * 16

    assert cost.by_operator["batch_norm"] == 2 * normalised
    assert cost.by_operator["adaptive_avg_pool2d"] == 24 * 16
    assert cost.by_operator["linear"] == 24 * 10
    assert cost.flops == cost.by_operator["conv"] + cost.by_operator["linear"]
    assert cost.fvcore_total == cost.flops + cost.by_operator["batch_norm"] + cost.by_operator["adaptive_avg_pool2d"]


@pytest.mark.parametrize("px", [31, 32, 33, 64, 65])
def test_a_stride_of_two_rounds_the_side_up(px: int) -> None:
    sides = families.ledger(SMALL.baseline).sides(px)

    halves = [px]
    for _ in range(3):
        halves.append(-(-halves[-1] // 2))
    assert sorted(sides, reverse=True) == [*halves, 1]
