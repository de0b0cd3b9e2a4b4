from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.cost.ledger import BIAS, OPERATORS, FeatureMap
from app.scaling.network import Architecture, Config, Head, Multipliers, Stage, Stem
from tests.scaling.baselines import ARCHITECTURES, SMALL, SMALLEST
from tests.support import example_count

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
BASIC = Config(
    family="resnet",
    resolution=32,
    stem=Stem(64, 7, 2),
    stages=(Stage("basic", 1, 64), Stage("basic", 3, 16, stride=2)),
    head=Head(0),
    activation="relu",
    num_classes=10,
)
GHOST = Config(
    family="ghostnet",
    resolution=16,
    stem=Stem(8),
    stages=(
        Stage("ghost", 1, 8, expansion=1.5),
        Stage("ghost", 2, 12, kernel=5, stride=2, expansion=2, se_ratio=0.25),
    ),
    head=Head(1280),
    activation="relu",
    num_classes=10,
)
CONVNEXT = Config(
    family="convnext",
    resolution=32,
    stem=Stem(4, 4, 4),
    stages=(
        Stage("convnext_conv", 1, 4, kernel=7, expansion=4),
        Stage("convnext_conv", 1, 8, kernel=7, stride=2, expansion=4),
        Stage("convnext_conv", 3, 6, kernel=7, stride=2, expansion=4),
        Stage("convnext_conv", 1, 12, kernel=7, stride=2, expansion=4),
    ),
    head=Head(0),
    activation="gelu",
    num_classes=10,
)

# The live tensors of each operator, in elements: (input, output, retained maps).
# Batch norm, activation, gate and addition work in place.
LiveTensors = dict[str, list[tuple[int, int, int]]]

LIVE_IN_TINY: LiveTensors = {
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
        (16 * 4 * 4, 16 * 4 * 4, 0),  # expand by 1; with other channels there is no shortcut
        (16 * 4 * 4, 16 * 4 * 4, 0),  # depthwise
        (16 * 4 * 4, 24 * 4 * 4, 0),  # project
    ],
    "head": [
        (24 * 4 * 4, 40 * 4 * 4, 0),
        (40 * 4 * 4, 40, 0),  # pool
        (40, 10, 0),
    ],
}
LIVE_IN_BASIC: LiveTensors = {
    "stem": [
        (3 * 32 * 32, 64 * 16 * 16, 0),
        (64 * 16 * 16, 64 * 8 * 8, 0),  # max pool
    ],
    "stages.0": [
        (64 * 8 * 8, 64 * 8 * 8, 0),  # the shortcut is its own input
        (64 * 8 * 8, 64 * 8 * 8, 64 * 8 * 8),  # beside the shortcut
    ],
    "stages.1, first": [
        (64 * 8 * 8, 16 * 4 * 4, 0),
        (16 * 4 * 4, 16 * 4 * 4, 64 * 8 * 8),  # beside the input, which the shortcut convolves later
        (64 * 8 * 8, 16 * 4 * 4, 16 * 4 * 4),  # the shortcut's convolution, beside the main path
    ],
    "stages.1, others": [
        (16 * 4 * 4, 16 * 4 * 4, 0),
        (16 * 4 * 4, 16 * 4 * 4, 16 * 4 * 4),
    ],
    "head": [
        (16 * 4 * 4, 16, 0),  # pool
        (16, 10, 0),
    ],
}
LIVE_IN_GHOST: LiveTensors = {
    "stem": [(3 * 16 * 16, 8 * 8 * 8, 0)],
    "stages.0": [
        (8 * 8 * 8, 6 * 8 * 8, 0),  # half of 12 inner channels; the shortcut is its own input
        (6 * 8 * 8, 6 * 8 * 8, 8 * 8 * 8),  # the cheap half, beside the shortcut
        (6 * 8 * 8, 12 * 8 * 8, 6 * 8 * 8 + 8 * 8 * 8),  # concatenate, beside the other half and the shortcut
        (12 * 8 * 8, 4 * 8 * 8, 8 * 8 * 8),  # half of 8
        (4 * 8 * 8, 4 * 8 * 8, 8 * 8 * 8),
        (4 * 8 * 8, 8 * 8 * 8, 4 * 8 * 8 + 8 * 8 * 8),
    ],
    "stages.1, first": [
        (8 * 8 * 8, 8 * 8 * 8, 0),  # half of 16
        (8 * 8 * 8, 8 * 8 * 8, 8 * 8 * 8),
        (8 * 8 * 8, 16 * 8 * 8, 8 * 8 * 8 + 8 * 8 * 8),
        (16 * 8 * 8, 16 * 4 * 4, 8 * 8 * 8),  # depthwise, of stride 2
        (16, 4, 16 * 4 * 4 + 8 * 8 * 8),  # squeeze, beside the maps to gate and the shortcut's input
        (4, 16, 16 * 4 * 4 + 8 * 8 * 8),  # excite
        (16 * 4 * 4, 6 * 4 * 4, 8 * 8 * 8),  # half of 12
        (6 * 4 * 4, 6 * 4 * 4, 8 * 8 * 8),
        (6 * 4 * 4, 12 * 4 * 4, 6 * 4 * 4 + 8 * 8 * 8),
        (8 * 8 * 8, 8 * 4 * 4, 12 * 4 * 4),  # the shortcut's depthwise convolution, beside the main path
        (8 * 4 * 4, 12 * 4 * 4, 12 * 4 * 4),  # the shortcut's pointwise one
    ],
    "stages.1, others": [
        (12 * 4 * 4, 12 * 4 * 4, 0),  # half of 24
        (12 * 4 * 4, 12 * 4 * 4, 12 * 4 * 4),
        (12 * 4 * 4, 24 * 4 * 4, 12 * 4 * 4 + 12 * 4 * 4),
        (24, 8, 24 * 4 * 4 + 12 * 4 * 4),  # squeeze, to a quarter in fours
        (8, 24, 24 * 4 * 4 + 12 * 4 * 4),  # excite
        (24 * 4 * 4, 6 * 4 * 4, 12 * 4 * 4),
        (6 * 4 * 4, 6 * 4 * 4, 12 * 4 * 4),
        (6 * 4 * 4, 12 * 4 * 4, 6 * 4 * 4 + 12 * 4 * 4),
    ],
    "head": [
        (12 * 4 * 4, 24 * 4 * 4, 0),  # to the last block's inner channels
        (24 * 4 * 4, 24, 0),  # pool
        (24, 1280, 0),
        (1280, 10, 0),
    ],
}
LIVE_IN_CONVNEXT: LiveTensors = {
    "stem": [(3 * 32 * 32, 4 * 8 * 8, 0)],
    "stages.0": [
        (4 * 8 * 8, 4 * 8 * 8, 0),  # depthwise; the shortcut is its own input
        (4 * 8 * 8, 16 * 8 * 8, 4 * 8 * 8),
        (16 * 8 * 8, 4 * 8 * 8, 4 * 8 * 8),
    ],
    "stages.1": [
        (4 * 8 * 8, 8 * 4 * 4, 0),  # between the stages
        (8 * 4 * 4, 8 * 4 * 4, 0),
        (8 * 4 * 4, 32 * 4 * 4, 8 * 4 * 4),
        (32 * 4 * 4, 8 * 4 * 4, 8 * 4 * 4),
    ],
    "stages.2, first": [
        (8 * 4 * 4, 6 * 2 * 2, 0),
        (6 * 2 * 2, 6 * 2 * 2, 0),
        (6 * 2 * 2, 24 * 2 * 2, 6 * 2 * 2),
        (24 * 2 * 2, 6 * 2 * 2, 6 * 2 * 2),
    ],
    "stages.2, others": [
        (6 * 2 * 2, 6 * 2 * 2, 0),
        (6 * 2 * 2, 24 * 2 * 2, 6 * 2 * 2),
        (24 * 2 * 2, 6 * 2 * 2, 6 * 2 * 2),
    ],
    "stages.3": [
        (6 * 2 * 2, 12, 0),
        (12, 12, 0),
        (12, 48, 12),
        (48, 12, 12),
    ],
    "head": [
        (12, 12, 0),  # pool
        (12, 10, 0),
    ],
}
REPEATED = {
    "tiny": {"stages.1, others": 2},
    "basic": {"stages.1, others": 2},
    "ghost": {},
    "convnext": {"stages.2, others": 2},
}
WORKED = {
    "tiny": (TINY, LIVE_IN_TINY),
    "basic": (BASIC, LIVE_IN_BASIC),
    "ghost": (GHOST, LIVE_IN_GHOST),
    "convnext": (CONVNEXT, LIVE_IN_CONVNEXT),
}
by_hand = pytest.mark.parametrize("name", WORKED)


@pytest.mark.parametrize(("name", "flops", "fvcore_total", "params"), MEASURED)
def test_costs_match_measurements(name: str, flops: str, fvcore_total: str, params: str) -> None:
    cost = families.network_cost(families.baseline(name).baseline)

    assert f"{cost.flops / 1e6:.1f}" == flops
    assert f"{cost.fvcore_total / 1e6:.1f}" == fvcore_total
    assert f"{cost.params / 1e6:.3f}" == params


@settings(max_examples=example_count(50))
@given(st.sampled_from([*ARCHITECTURES, *SMALLEST]), st.floats(0.1, 2), st.floats(0.1, 3), st.floats(0.05, 3))
def test_the_stages_sum_to_the_whole(architecture: Architecture, r: float, d: float, w: float) -> None:
    config = architecture.scale(Multipliers(r, d, w))
    whole, stages = families.network_cost(config), families.stage_costs(config)

    assert [name for name, _ in stages] == ["stem", *(f"stages.{i}" for i in range(len(config.stages))), "head"]
    for operator, operations in whole.by_operator.items():
        assert sum(cost.by_operator[operator] for _, cost in stages) == operations
    assert sum(cost.params for _, cost in stages) == whole.params
    assert sum(cost.activations for _, cost in stages) == whole.activations
    assert sum(cost.bias_adds for _, cost in stages) == whole.bias_adds
    assert max(cost.peak_activation_bytes for _, cost in stages) == whole.peak_activation_bytes


@by_hand
def test_live_tensors_are_input_output_and_retained_maps(name: str) -> None:
    config, expected = WORKED[name]
    ledger = families.ledger(config)
    pixels = [side * side for side in ledger.sides(config.resolution)]

    def elements(*maps: FeatureMap) -> int:
        return sum(int(m.channels) * pixels[m.level] for m in maps)

    live = [
        [(elements(x), elements(y), elements(*retained)) for x, y, *retained in part.summarize().live_tensors]
        for part in ledger.parts
        if part.repeats
    ]

    assert live == list(expected.values())


@by_hand
def test_peak_memory_is_the_maximum_of_live_tensors(name: str) -> None:
    config, expected = WORKED[name]
    peaks: dict[str, int] = {}
    for part, operators in expected.items():
        stage = part.partition(",")[0]
        peaks[stage] = max(peaks.get(stage, 0), *(4 * sum(elements) for elements in operators))

    assert families.network_cost(config).peak_activation_bytes == max(peaks.values())
    assert {stage: cost.peak_activation_bytes for stage, cost in families.stage_costs(config)} == peaks


@pytest.mark.parametrize(
    ("name", "others"),  # output elements of poolings and concatenations
    [
        ("tiny", 40),
        ("basic", 64 * 8 * 8 + 16),
        ("ghost", (12 + 8) * 8 * 8 + 16 * 8 * 8 + 12 * 4 * 4 + (24 + 12) * 4 * 4 + 24),
        ("convnext", 12),
    ],
)
def test_activations_count_layer_output_elements(name: str, others: int) -> None:
    config, expected = WORKED[name]
    out = {part: sum(out for _, out, _ in operators) for part, operators in expected.items()}

    counted = sum(n * REPEATED[name].get(part, 1) for part, n in out.items()) - others
    assert families.network_cost(config).activations == counted


@pytest.mark.parametrize(
    ("name", "additions"),
    [
        ("tiny", (2 + 8) + (4 + 16) + 2 * (8 + 32) + 10),  # gates and classifier
        ("basic", 10),  # the classifier
        ("ghost", (4 + 16) + (8 + 24) + 1280 + 10),  # gates, head and classifier
        (
            "convnext",
            4 * 64  # stem
            + (4 + 16 + 4) * 64
            + (8 + 8 + 32 + 8) * 16
            + (6 + 3 * (6 + 24 + 6)) * 4
            + (12 + 12 + 48 + 12)
            + 10,
        ),
    ],
)
def test_bias_adds_count_output_elements(name: str, additions: int) -> None:
    config, _ = WORKED[name]

    assert families.network_cost(config).bias_adds == additions
    assert sum(cost.bias_adds for _, cost in families.stage_costs(config)) == additions


def test_layer_norm_costs_five_in_total_only() -> None:
    cost = families.network_cost(CONVNEXT)
    normalised = (
        4 * 64  # stem
        + 4 * 64
        + (4 * 64 + 8 * 16)  # before the convolution between two stages, and in the block
        + (8 * 16 + 3 * 6 * 4)
        + (6 * 4 + 12)
        + 12  # head
    )

    assert cost.by_operator["layer_norm"] == 5 * normalised
    assert cost.by_operator["batch_norm"] == 0
    assert cost.fvcore_total == cost.flops + 5 * normalised + 12


@settings(max_examples=example_count(50))
@given(st.sampled_from(SMALLEST), st.floats(0.3, 2), st.floats(0.05, 2))
def test_part_costs_sum_to_the_network(architecture: Architecture, d: float, w: float) -> None:
    config = replace(architecture.scale(Multipliers(1, d, w)), resolution=64)
    ledger, cost = families.ledger(config), families.network_cost(config)
    pixels = [side * side for side in ledger.sides(config.resolution)]
    counts = dict.fromkeys([*OPERATORS, BIAS], 0)
    params = activations = 0
    for part in ledger.parts:
        summary = part.summarize()
        params += part.repeats * summary.params
        activations += part.repeats * sum(n * pixels[level] for level, n in summary.activations.items())
        for (operator, level), n in summary.counts.items():
            counts[operator] += part.repeats * n * pixels[level]

    assert counts == {**cost.by_operator, BIAS: cost.bias_adds}
    assert (params, activations) == (cost.params, cost.activations)


def test_flops_exclude_norm_and_pooling_unlike_total() -> None:
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
