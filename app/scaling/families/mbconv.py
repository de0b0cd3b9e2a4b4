"""MBConv networks: what the families that timm builds with its one `EfficientNet` class have in common.

A 3 x 3 stem of stride 2, stages of depthwise-separable blocks (`ds`) and inverted residuals (`ir`), with squeeze-excite
or without, a 1 x 1 head, pooling and a classifier. A family of such networks is its baselines; see `mobilenetv2`.
"""

from __future__ import annotations

from typing import Any

from app.scaling.architecture import Architecture, Config, Stage
from app.scaling.cost import FeatureMap, Ledger
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family
from app.scaling.rounding import Channels, make_divisible

_MOST_STRIDE = 32  # timm's EfficientNet dilates past an output stride of 32


def mbconv_family(name: str, baselines: tuple[Architecture, ...]) -> Family:
    """The family of that name, with these baselines."""
    return Family(name, baselines, tuple(_BLOCKS), walk, check, timm)


def inner_repeats(architecture: Architecture, depth: float) -> tuple[int, ...]:
    """Repeats at a depth multiplier that leaves the first and the last stage as they are (timm's `fix_first_last`)."""
    first, *_, last = architecture.baseline.stages
    _, *inner, _ = architecture.repeats(depth)
    return (first.repeats, *inner, last.repeats)


def walk(config: Config, ledger: Ledger) -> None:
    """Books the network's operators in the order in which timm's `EfficientNet` runs them."""
    with ledger.part("stem"):
        x = ledger.norm(ledger.conv(ledger.image, config.stem.channels, kernel=3, stride=2))
    for index, stage in enumerate(config.stages):
        block = _BLOCKS[stage.block]
        with ledger.stage(index):
            x = block(ledger, x, stage, stage.stride)
        with ledger.rest_of_stage(index, stage.repeats):
            x = block(ledger, x, stage, 1)
    with ledger.part("head"):
        x = ledger.norm(ledger.conv(x, config.head.channels))
        ledger.linear(ledger.pool(x), config.num_classes)


def check(config: Config) -> None:
    """Raises InvalidNetwork for what timm's `EfficientNet` cannot build as it stands."""
    if (config.stem.kernel, config.stem.stride) != (3, 2):
        raise InvalidNetwork("/stem", "this family's stem is a 3 x 3 convolution of stride 2")
    stride = config.stem.stride
    for index, stage in enumerate(config.stages):
        stride *= stage.stride
        if stage.block not in _BLOCKS:
            raise InvalidNetwork(f"/stages/{index}/block", f"blocks of this family are {', '.join(_BLOCKS)}")
        if stage.block == "ds" and stage.expansion != 1:
            raise InvalidNetwork(f"/stages/{index}/expansion", "a depthwise-separable block has expansion 1")
    if stride > _MOST_STRIDE:
        raise InvalidNetwork("/stages", f"the strides multiply to {stride}; at most {_MOST_STRIDE} are possible")


def timm(config: Config) -> dict[str, Any]:
    """timm's own class with its arch_def strings; channels are taken as they are (a divisor of 1 rounds nothing)."""
    return {
        "call": "timm.models.efficientnet.EfficientNet",
        "kwargs": {
            "block_args": {
                "call": "timm.models._efficientnet_builder.decode_arch_def",
                "kwargs": {"arch_def": [[_arch_string(stage)] for stage in config.stages]},
            },
            "stem_size": config.stem.channels,
            "fix_stem": True,
            "num_features": config.head.channels,
            "num_classes": config.num_classes,
            "in_chans": config.in_chans,
            "act_layer": config.activation,
            "round_chs_fn": {"partial": "timm.models._efficientnet_builder.round_channels", "kwargs": {"divisor": 1}},
        },
    }


def _arch_string(stage: Stage) -> str:
    squeeze = f"_se{stage.se_ratio}" if stage.se_ratio else ""
    shape = f"k{stage.kernel}_s{stage.stride}_e{stage.expansion}_c{stage.channels}"
    return f"{stage.block}_r{stage.repeats}_{shape}{squeeze}"


def _depthwise_separable(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> FeatureMap:
    with ledger.held(x, _shortcut(x, stage, stride)):
        y = ledger.norm(ledger.conv(x, x.channels, stage.kernel, stride, depthwise=True))
        if stage.se_ratio:
            y = ledger.squeeze_excite(y, _squeezed(y.channels, stage.se_ratio))
        return ledger.norm(ledger.conv(y, stage.channels))


def _inverted_residual(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> FeatureMap:
    wide = make_divisible(x.channels * stage.expansion, 8)
    with ledger.held(x, _shortcut(x, stage, stride)):
        y = ledger.norm(ledger.conv(x, wide))
        y = ledger.norm(ledger.conv(y, wide, stage.kernel, stride, depthwise=True))
        if stage.se_ratio:
            y = ledger.squeeze_excite(y, _squeezed(wide, stage.se_ratio / stage.expansion))
        return ledger.norm(ledger.conv(y, stage.channels))


def _shortcut(x: FeatureMap, stage: Stage, stride: int) -> Channels:
    """The channels that wait for the block's end: the input's, where block input and output are of one shape."""
    return x.channels * (x.channels == stage.channels) if stride == 1 else 0


def _squeezed(channels: Channels, ratio: float) -> Channels:
    squeezed = channels * ratio
    return round(squeezed) if isinstance(squeezed, float) else squeezed.round().astype(int)


_BLOCKS = {"ds": _depthwise_separable, "ir": _inverted_residual}
