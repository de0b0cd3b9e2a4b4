"""MBConv networks: what the families that timm builds from arch_def strings have in common.

A 3 x 3 stem of stride 2, stages of depthwise-separable blocks (`ds`, `dsa`), inverted residuals (`ir`) and plain
convolutions (`cn`), with squeeze-excite or without, a head, and a classifier. Two heads are there: a 1 x 1 convolution
before the pooling (timm's `EfficientNet`; `mobilenetv2` is such a family), and one after it (`MobileNetV3`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from app.scaling.architecture import Architecture, Config, Stage
from app.scaling.cost import FeatureMap, Ledger
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family, Recipe, call, partially, walk_stages
from app.scaling.rounding import Channels, make_divisible, round_channels

Squeeze = Callable[[Channels, Stage], Channels]
"""The squeezed channels of a gate on so many channels, in a stage's blocks."""

_MOST_STRIDE = 32  # timm's networks dilate past an output stride of 32
_BUILDER = "timm.models._efficientnet_builder"
_ROUND_NOTHING = partially(f"{_BUILDER}.round_channels", divisor=1)  # channels are taken as they are


def mbconv_family(name: str, baselines: tuple[Architecture, ...]) -> Family:
    """The family of that name, with these baselines, on timm's `EfficientNet`."""
    walk = partial(_walk, _head_before_pool, _squeezed_input)
    return Family(name, baselines, tuple(_BLOCKS), walk, check, _efficientnet, decoded)


def late_head_family(name: str, baselines: tuple[Architecture, ...]) -> Family:
    """The family of that name, with these baselines, on timm's `MobileNetV3`."""
    walk = partial(_walk, _head_after_pool, _squeezed_inner)
    return Family(name, baselines, tuple(_BLOCKS), walk, _check_late_head, _mobilenetv3, decoded)


def inner_repeats(architecture: Architecture, depth: float) -> tuple[int, ...]:
    """Repeats at a depth multiplier that leaves the first and the last stage as they are (timm's `fix_first_last`)."""
    first, *_, last = architecture.baseline.stages
    _, *inner, _ = architecture.repeats(depth)
    return (first.repeats, *inner, last.repeats)


def stages(*arch_def: str) -> tuple[Stage, ...]:
    """Stages from timm's arch_def strings: a string a stage, its several kinds of blocks parted by spaces."""
    return tuple(stage for entry in arch_def for stage in decoded([entry.split(" ")]))


def decoded(arch_def: list[list[str]]) -> tuple[Stage, ...]:
    """The stages that timm's arch_def says: a list of strings a stage.

    Raises: InvalidNetwork, with a pointer into `arch_def`.
    """
    found = []
    for i, entries in enumerate(arch_def):
        for j, text in enumerate(entries):
            try:
                found.append(decode(text, joined=j > 0))
            except ValueError as error:
                raise InvalidNetwork(f"/arch_def/{i}/{j}", str(error)) from None
    return tuple(found)


def decode(text: str, *, joined: bool = False) -> Stage:
    """One string of an arch_def: block, then in any order r, k, s, e, c, se, n and noskip (timm's `_decode_block_str`).

    Raises: ValueError.
    """
    block, *options = text.split("_")
    if block not in _BLOCKS:
        raise ValueError(f"{text!r} begins with no block of this family: {', '.join(_BLOCKS)}")
    said: dict[str, str] = {}
    for option in options:
        parts = _OPTION.fullmatch(option)
        if parts is None:
            raise ValueError(f"{option!r} in {text!r} is not understood; options are r, k, s, e, c, se, n and noskip")
        key = parts["key"] or parts["letter"] or option
        if key in said:
            raise ValueError(f"{text!r} has {key} twice")
        said[key] = parts["value"] or parts["name"] or ""
    missing = [key for key in ("r", "s", "c") if key not in said]
    if missing:
        raise ValueError(f"{text!r} lacks {', '.join(missing)}")
    try:
        return Stage(
            block,
            repeats=int(said["r"]),
            channels=int(said["c"]),
            kernel=int(said.get("k", 1 if block == "cn" else 3)),
            stride=int(said["s"]),
            expansion=float(said.get("e", 1)),
            se_ratio=float(said.get("se", 0)),
            activation=_ACTIVATION_OF[said["n"]] if "n" in said else None,
            skip=block not in _SHORTCUTS or "noskip" not in said,
            joined=joined,
        )
    except ValueError:
        raise ValueError(f"r, k, s and c in {text!r} have to be whole numbers") from None


def check(config: Config) -> None:
    """Raises InvalidNetwork for what timm's `EfficientNet` cannot build as it stands."""
    if (config.stem.kernel, config.stem.stride) != (3, 2):
        raise InvalidNetwork("/stem", "this family's stem is a 3 x 3 convolution of stride 2")
    stride = config.stem.stride
    for index, stage in enumerate(config.stages):
        where = f"/stages/{index}"
        stride *= stage.stride
        if stage.block not in _BLOCKS:
            raise InvalidNetwork(f"{where}/block", f"blocks of this family are {', '.join(_BLOCKS)}")
        if stage.block != "ir" and stage.expansion != 1:
            raise InvalidNetwork(f"{where}/expansion", "only an inverted residual (ir) expands")
        if stage.block == "cn" and stage.se_ratio:
            raise InvalidNetwork(f"{where}/se_ratio", "a plain convolution (cn) has no squeeze-excite")
        if stage.activation not in (None, *_NAME_OF):
            raise InvalidNetwork(f"{where}/activation", f"a stage's own activation is one of {', '.join(_NAME_OF)}")
        if stage.groups != 1 or stage.group_width != 0:
            raise InvalidNetwork(f"{where}/groups", "blocks of this family have no groups to set")
        if stage.joined and (stage.stride != 1 or index == 0):
            raise InvalidNetwork(f"{where}/joined", "what is joined to the entry before it has stride 1")
    if stride > _MOST_STRIDE:
        raise InvalidNetwork("/stages", f"the strides multiply to {stride}; at most {_MOST_STRIDE} are possible")


def _check_late_head(config: Config) -> None:
    check(config)
    if config.head.channels == 0:
        raise InvalidNetwork("/head/channels", "this family has a head: at least 1 channel")


def _walk(
    head: Callable[[Config, Ledger, FeatureMap], FeatureMap], squeezed: Squeeze, config: Config, ledger: Ledger
) -> None:
    """Books the network's operators in the order in which timm's network runs them."""
    ledger.part("stem")
    x = ledger.conv(ledger.image, config.stem.channels, kernel=3, stride=2)

    def block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> FeatureMap:
        return _BLOCKS[stage.block](ledger, x, stage, stride, squeezed)

    x = walk_stages(ledger, x, config.stages, block)
    ledger.part("head")
    ledger.linear(head(config, ledger, x), config.num_classes)


def _head_before_pool(config: Config, ledger: Ledger, x: FeatureMap) -> FeatureMap:
    head = config.head.channels
    if not isinstance(head, int) or head > 0:
        x = ledger.conv(x, head)
    return ledger.pool(x)


def _head_after_pool(config: Config, ledger: Ledger, x: FeatureMap) -> FeatureMap:
    return ledger.conv_bias(ledger.pool(x), config.head.channels)


def _efficientnet(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    return call(
        "timm.models.efficientnet.EfficientNet",
        **_arguments(config),
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )


def _mobilenetv3(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    return call(
        "timm.models.mobilenetv3.MobileNetV3",
        **_arguments(config),
        se_layer=partially(
            "timm.models._efficientnet_blocks.SqueezeExcite",
            gate_layer="hard_sigmoid",
            force_act_layer="relu",
            rd_round_fn=partially(f"{_BUILDER}.round_channels"),
        ),
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )


def _arguments(config: Config) -> dict[str, Any]:
    return {
        "block_args": call(
            f"{_BUILDER}.decode_arch_def",
            arch_def=[[_arch_string(stage) for stage in joined] for joined in config.joined()],
        ),
        "stem_size": config.stem.channels,
        "fix_stem": True,
        "num_features": config.head.channels,
        "num_classes": config.num_classes,
        "in_chans": config.in_chans,
        "act_layer": call("timm.layers.get_act_layer", name=config.activation),
        "round_chs_fn": _ROUND_NOTHING,
    }


def _arch_string(stage: Stage) -> str:
    expansion = f"_e{stage.expansion}" if stage.block == "ir" else ""
    squeeze = f"_se{stage.se_ratio}" if stage.se_ratio else ""
    activation = f"_n{_NAME_OF[stage.activation]}" if stage.activation else ""
    noskip = "_noskip" if stage.block in _SHORTCUTS and not stage.skip else ""
    shape = f"r{stage.repeats}_k{stage.kernel}_s{stage.stride}{expansion}_c{stage.channels}"
    return f"{stage.block}_{shape}{squeeze}{activation}{noskip}"


def _plain(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, squeezed: Squeeze) -> FeatureMap:
    return ledger.conv(x, stage.channels, stage.kernel, stride)


def _depthwise_separable(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, squeezed: Squeeze) -> FeatureMap:
    with ledger.held(x, _shortcut(x, stage, stride)):
        y = ledger.conv(x, x.channels, stage.kernel, stride, group_width=1)
        if stage.se_ratio:
            y = ledger.squeeze_excite(y, squeezed(y.channels, stage))
        return ledger.conv(y, stage.channels)


def _inverted_residual(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, squeezed: Squeeze) -> FeatureMap:
    wide = make_divisible(x.channels * stage.expansion, 8)
    with ledger.held(x, _shortcut(x, stage, stride)):
        y = ledger.conv(x, wide)
        y = ledger.conv(y, wide, stage.kernel, stride, group_width=1)
        if stage.se_ratio:
            y = ledger.squeeze_excite(y, squeezed(wide, stage))
        return ledger.conv(y, stage.channels)


def _shortcut(x: FeatureMap, stage: Stage, stride: int) -> Channels:
    """The channels that wait for the block's end: the input's, where block input and output are of one shape."""
    has = stage.skip and stage.block in _SHORTCUTS and stride == 1
    return x.channels * (x.channels == stage.channels) if has else 0


def _squeezed_input(channels: Channels, stage: Stage) -> Channels:
    """`se_ratio` of the block's input, rounded (EfficientNet)."""
    return round_channels(channels * (stage.se_ratio / stage.expansion))


def _squeezed_inner(channels: Channels, stage: Stage) -> Channels:
    """`se_ratio` of the block's inner channels, to a multiple of 8 (MobileNetV3)."""
    return make_divisible(channels * stage.se_ratio, 8)


_BLOCKS = {"ds": _depthwise_separable, "dsa": _depthwise_separable, "ir": _inverted_residual, "cn": _plain}
_SHORTCUTS = ("ds", "ir")  # the blocks that may have one

_ACTIVATION_OF = {"re": "relu", "r6": "relu6", "hs": "hard_swish", "sw": "swish"}
_NAME_OF = {activation: name for name, activation in _ACTIVATION_OF.items()}
_OPTION = re.compile(r"(?P<key>se|[rkcs]|e)(?P<value>\d+(\.\d+)?)|(?P<letter>n)(?P<name>re|r6|hs|sw)|noskip")
