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
        Stage("ir", 3, 16, stride=2, expansion=2, se_ratio=0.5),
        Stage("ir", 1, 24, expansion=1),
    ),
    head=Head(40),
    num_classes=10,
)

# What is alive while each operator of TINY runs: (its input, its output, what waits beside it), in elements.
# Batch norm, activation, gate and addition work in place.
ALIVE_IN_TINY = {
    "stem": [(3 * 16 * 16, 8 * 8 * 8, 0)],
    "stages.0": [
        (8 * 8 * 8, 8 * 8 * 8, 0),  # depthwise; the shortcut is its own input
        (8, 2, 8 * 8 * 8 + 8 * 8 * 8),  # squeeze, beside the maps to gate and the shortcut
        (2, 8, 8 * 8 * 8 + 8 * 8 * 8),  # excite
        (8 * 8 * 8, 8 * 8 * 8, 8 * 8 * 8),  # pointwise, beside the shortcut
    ],
    "stages.1, first": [
        (8 * 8 * 8, 16 * 8 * 8, 0),  # expand; with stride 2 there is no shortcut
        (16 * 8 * 8, 16 * 4 * 4, 0),  # depthwise
        (16, 4, 16 * 4 * 4),  # squeeze
        (4, 16, 16 * 4 * 4),  # excite
        (16 * 4 * 4, 16 * 4 * 4, 0),  # project
    ],
    "stages.1, others": [
        (16 * 4 * 4, 32 * 4 * 4, 0),  # expand; the shortcut is its own input
        (32 * 4 * 4, 32 * 4 * 4, 16 * 4 * 4),  # depthwise, beside the shortcut
        (32, 8, 32 * 4 * 4 + 16 * 4 * 4),  # squeeze
        (8, 32, 32 * 4 * 4 + 16 * 4 * 4),  # excite
        (32 * 4 * 4, 16 * 4 * 4, 16 * 4 * 4),  # project
    ],
    "stages.2": [
        (16 * 4 * 4, 16 * 4 * 4, 0),  # expand, to as many; with other channels there is no shortcut
        (16 * 4 * 4, 16 * 4 * 4, 0),  # depthwise
        (16 * 4 * 4, 24 * 4 * 4, 0),  # project
    ],
    "head": [(24 * 4 * 4, 40 * 4 * 4, 0), (40, 10, 0)],
}
REPEATED = {"stages.1, others": 2}


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


def test_what_is_alive_at_each_operator_is_its_input_its_output_and_what_waits() -> None:
    ledger = families.ledger(TINY)
    pixels = [side * side for side in ledger.sides(TINY.resolution)]
    booked = [
        [sum(int(n) * pixels[level] for level, n in alive.items()) for alive in part.alive]
        for part in ledger.parts
        if part.repeats
    ]

    assert booked == [[sum(elements) for elements in operators] for operators in ALIVE_IN_TINY.values()]


def test_the_peak_memory_is_the_greatest_sum_of_what_is_alive_in_float32() -> None:
    peaks: dict[str, int] = {}
    for part, operators in ALIVE_IN_TINY.items():
        stage = part.partition(",")[0]
        peaks[stage] = max(peaks.get(stage, 0), *(4 * sum(elements) for elements in operators))

    assert families.network_cost(TINY).peak_activation_bytes == max(peaks.values())
    assert {name: cost.peak_activation_bytes for name, cost in families.stage_costs(TINY)} == peaks


def test_the_activations_are_the_elements_that_convolutions_and_linear_layers_put_out() -> None:
    out = {part: sum(out for _, out, _ in operators) for part, operators in ALIVE_IN_TINY.items()}

    assert families.network_cost(TINY).activations == sum(n * REPEATED.get(part, 1) for part, n in out.items())


def test_flops_leave_out_batch_norm_and_pooling_and_the_total_has_them() -> None:
    cost = families.network_cost(TINY)
    normalised = (
        8 * 64  # stem
        + 2 * 8 * 64
        + (16 * 64 + 2 * 16 * 16)
        + 2 * (2 * 32 * 16 + 16 * 16)
        + (2 * 16 * 16 + 24 * 16)
        + 40 * 16  # head
    )

    assert cost.by_operator["batch_norm"] == 2 * normalised
    assert cost.by_operator["adaptive_avg_pool2d"] == 40 * 16
    assert cost.by_operator["linear"] == 40 * 10
    assert cost.flops == cost.by_operator["conv"] + cost.by_operator["linear"]
    assert cost.fvcore_total == cost.flops + cost.by_operator["batch_norm"] + cost.by_operator["adaptive_avg_pool2d"]


@pytest.mark.parametrize("px", [31, 32, 33, 64, 65])
def test_a_stride_of_two_rounds_the_side_up(px: int) -> None:
    sides = families.ledger(SMALL.baseline).sides(px)

    halves = [px]
    for _ in range(3):
        halves.append(-(-halves[-1] // 2))
    assert sorted(sides, reverse=True) == [*halves, 1]
