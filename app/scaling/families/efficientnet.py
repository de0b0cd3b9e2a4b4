"""EfficientNet (Tan and Le, 2019) and its scaled networks, TinyNet-A…E among them.

Values and rules are timm's (`_gen_efficientnet`, `_gen_tinynet`): a 3 x 3 stem of stride 2, one depthwise-separable
stage, inverted residuals (MBConv) with squeeze-excite on a quarter of the block's input, a 1 x 1 head.
"""

from __future__ import annotations

from typing import Any

from app.scaling.architecture import (
    EFFICIENTNET_RULES,
    Architecture,
    Config,
    Head,
    Multipliers,
    Stage,
    Stem,
)
from app.scaling.cost import FeatureMap, Ledger
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family
from app.scaling.rounding import Channels, make_divisible

B0 = Config(
    family="efficientnet",
    resolution=224,
    stem=Stem(32),
    stages=(
        Stage("ds", 1, 16, kernel=3, stride=1, expansion=1, se_ratio=0.25),
        Stage("ir", 2, 24, kernel=3, stride=2, expansion=6, se_ratio=0.25),
        Stage("ir", 2, 40, kernel=5, stride=2, expansion=6, se_ratio=0.25),
        Stage("ir", 3, 80, kernel=3, stride=2, expansion=6, se_ratio=0.25),
        Stage("ir", 3, 112, kernel=5, stride=1, expansion=6, se_ratio=0.25),
        Stage("ir", 4, 192, kernel=5, stride=2, expansion=6, se_ratio=0.25),
        Stage("ir", 1, 320, kernel=3, stride=1, expansion=6, se_ratio=0.25),
    ),
    head=Head(1280),
)

_B = {  # px, depth, width (timm's `_gen_efficientnet`)
    "efficientnet_b0": (224, 1.0, 1.0),
    "efficientnet_b1": (240, 1.1, 1.0),
    "efficientnet_b2": (260, 1.2, 1.1),
    "efficientnet_b3": (300, 1.4, 1.2),
    "efficientnet_b4": (380, 1.8, 1.4),
    "efficientnet_b5": (456, 2.2, 1.6),
    "efficientnet_b6": (528, 2.6, 1.8),
    "efficientnet_b7": (600, 3.1, 2.0),
}

_MOST_STRIDE = 32  # timm's EfficientNet dilates past an output stride of 32


def _efficientnet(name: str) -> Architecture:
    px, depth, width = _B[name]
    grown = Architecture("efficientnet_b0", B0, EFFICIENTNET_RULES)
    return Architecture(name, grown.assembled(px, grown.repeats(depth), width))


def _tinynet(name: str, multipliers: Multipliers) -> Architecture:
    return Architecture(name, Architecture("efficientnet_b0", B0).scaled(multipliers))


BASELINES = (
    *(_efficientnet(name) for name in _B),
    _tinynet("tinynet_a", Multipliers(0.86, 1.2, 1.0)),
    _tinynet("tinynet_b", Multipliers(0.84, 1.1, 0.75)),
    _tinynet("tinynet_c", Multipliers(0.825, 0.85, 0.54)),
    _tinynet("tinynet_d", Multipliers(0.68, 0.695, 0.54)),
    _tinynet("tinynet_e", Multipliers(0.475, 0.6, 0.51)),
)


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

FAMILY = Family("efficientnet", BASELINES, tuple(_BLOCKS), walk, check, timm)
