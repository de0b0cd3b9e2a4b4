"""MBConv networks: the common part of the families that timm builds from arch_def strings.

They have a 3 x 3 stem of stride 2, stages of depthwise-separable blocks (`ds`, `dsa`), inverted residuals (`ir`) and
plain convolutions (`cn`), with or without squeeze-excite, a head, and a classifier. There are two kinds of heads: a 1 x
1 convolution before the pooling (timm's `EfficientNet`, which includes `mobilenetv2`), and one after it
(`MobileNetV3`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from app.scaling.cost.ledger import FeatureMap, Ledger
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family, Recipe, call, partial_call, walk_stages
from app.scaling.network import Architecture, Config, Stage
from app.scaling.rounding import Channels, make_divisible, round_channels

Squeeze = Callable[[Ledger, FeatureMap, Stage, str], FeatureMap]
"""Records the gate on these maps of a stage's block, whose activation function is given, and returns its output."""

_MAX_STRIDE = 32  # timm's networks dilate past an output stride of 32
_BUILDER = "timm.models._efficientnet_builder"
_KEEP_CHANNELS = partial_call(f"{_BUILDER}.round_channels", divisor=1)  # the config's channels are final


def mbconv_family(name: str, baselines: tuple[Architecture, ...]) -> Family:
    """Return the family of that name, with these baselines, on timm's `EfficientNet`."""
    walk = partial(_walk, _head_before_pool, _squeeze_from_input)
    return Family(name, baselines, tuple(_BLOCKS), walk, check, _efficientnet, decode_arch_def)


def late_head_family(name: str, baselines: tuple[Architecture, ...], *, gates_round: bool = True) -> Family:
    """Return the family of that name, with these baselines, on timm's `MobileNetV3`.

    If `gates_round`, the squeezed channels are multiples of 8, else the nearest whole number.
    """
    walk = partial(_walk, _head_after_pool, _squeeze_from_inner if gates_round else _squeeze_from_inner_exactly)
    timm = partial(_mobilenetv3, gates_round)
    return Family(name, baselines, tuple(_BLOCKS), walk, _check_late_head, timm, decode_arch_def)


def inner_repeats(architecture: Architecture, depth: float) -> tuple[int, ...]:
    """Return repeats at a depth multiplier for all but the first and the last stage (timm's `fix_first_last`)."""
    first, *_, last = architecture.baseline.stages
    _, *inner, _ = architecture.repeats(depth)
    return (first.repeats, *inner, last.repeats)


def stages(*arch_def: str) -> tuple[Stage, ...]:
    """Return stages from timm's arch_def strings: one string per stage, with kinds of blocks separated by spaces."""
    return tuple(stage for entry in arch_def for stage in decode_arch_def([entry.split(" ")]))


def decode_arch_def(arch_def: list[list[str]]) -> tuple[Stage, ...]:
    """Decode timm's arch_def, a list of strings per stage.

    Raises: InvalidNetwork, with a pointer into `arch_def`.
    """
    decoded = []
    for i, entries in enumerate(arch_def):
        for j, text in enumerate(entries):
            try:
                decoded.append(decode_block(text, joined=j > 0))
            except ValueError as error:
                raise InvalidNetwork(f"/arch_def/{i}/{j}", str(error)) from None
    return tuple(decoded)


def decode_block(text: str, *, joined: bool = False) -> Stage:
    """Decode an arch_def string: block, then in any order r, k, s, e, c, se, n and noskip (timm's `_decode_block_str`).

    Raises: ValueError.
    """
    block, *options = text.split("_")
    if block not in _BLOCKS:
        raise ValueError(f"{text!r} does not begin with a block of this family: {', '.join(_BLOCKS)}")
    values: dict[str, str] = {}
    for option in options:
        parts = _OPTION.fullmatch(option)
        if parts is None:
            raise ValueError(
                f"{option!r} in {text!r} is not a valid option; the options are r, k, s, e, c, se, n and noskip"
            )
        key = parts["key"] or parts["letter"] or option
        if key in values:
            raise ValueError(f"{text!r} has {key} twice")
        values[key] = parts["value"] or parts["name"] or ""
    missing = [key for key in ("r", "s", "c") if key not in values]
    if missing:
        raise ValueError(f"{text!r} has no {', '.join(missing)}")
    try:
        return Stage(
            block,
            repeats=int(values["r"]),
            channels=int(values["c"]),
            kernel=int(values.get("k", 1 if block == "cn" else 3)),
            stride=int(values["s"]),
            expansion=float(values.get("e", 1)),
            se_ratio=float(values.get("se", 0)),
            activation=_ACTIVATION_BY_ABBREVIATION[values["n"]] if "n" in values else None,
            skip=block not in _SHORTCUTS or "noskip" not in values,
            joined=joined,
        )
    except ValueError:
        raise ValueError(f"r, k, s and c in {text!r} must be whole numbers") from None


def check(config: Config) -> None:
    """Raises: InvalidNetwork if timm's `EfficientNet` cannot build the network exactly."""
    if (config.stem.kernel, config.stem.stride) != (3, 2):
        raise InvalidNetwork("/stem", "this family's stem is a 3 x 3 convolution of stride 2")
    stride = config.stem.stride
    for index, stage in enumerate(config.stages):
        pointer = f"/stages/{index}"
        stride *= stage.stride
        if stage.block not in _BLOCKS:
            raise InvalidNetwork(f"{pointer}/block", f"blocks of this family are {', '.join(_BLOCKS)}")
        if stage.block != "ir" and stage.expansion != 1:
            raise InvalidNetwork(f"{pointer}/expansion", "only an inverted residual (ir) expands")
        if stage.block == "cn" and stage.se_ratio:
            raise InvalidNetwork(f"{pointer}/se_ratio", "a plain convolution (cn) has no squeeze-excite")
        if stage.activation not in (None, *_ABBREVIATION_BY_ACTIVATION):
            raise InvalidNetwork(
                f"{pointer}/activation", f"a stage's own activation is one of {', '.join(_ABBREVIATION_BY_ACTIVATION)}"
            )
        if stage.groups != 1 or stage.group_width != 0:
            raise InvalidNetwork(f"{pointer}/groups", "blocks of this family have no groups to set")
        if stage.joined and (stage.stride != 1 or index == 0):
            raise InvalidNetwork(f"{pointer}/joined", "an entry that is joined to the previous one must have stride 1")
    if stride > _MAX_STRIDE:
        raise InvalidNetwork("/stages", f"the product of the strides is {stride}; it may be at most {_MAX_STRIDE}")


def _check_late_head(config: Config) -> None:
    check(config)
    if config.head.channels == 0:
        raise InvalidNetwork("/head/channels", "this family has a head: at least 1 channel")


def _walk(
    head: Callable[[Config, Ledger, FeatureMap], FeatureMap], squeeze: Squeeze, config: Config, ledger: Ledger
) -> None:
    """Record the network's operators in the order in which timm's network runs them."""
    ledger.start_part("stem")
    x = ledger.conv(ledger.image, config.stem.channels, kernel=3, stride=2, activation=config.activation)

    def block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> FeatureMap:
        return _BLOCKS[stage.block](ledger, x, stage, stride, stage.activation or config.activation, squeeze)

    x = walk_stages(ledger, x, config.stages, block)
    ledger.start_part("head")
    ledger.linear(head(config, ledger, x), config.num_classes)


def _head_before_pool(config: Config, ledger: Ledger, x: FeatureMap) -> FeatureMap:
    head = config.head.channels
    if not isinstance(head, int) or head > 0:
        x = ledger.conv(x, head, activation=config.activation)
    return ledger.pool(x)


def _head_after_pool(config: Config, ledger: Ledger, x: FeatureMap) -> FeatureMap:
    return ledger.conv_bias(ledger.pool(x), config.head.channels, activation=config.activation)


def _efficientnet(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    return call(
        "timm.models.efficientnet.EfficientNet",
        **_arguments(config),
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )


def _mobilenetv3(gates_round: bool, config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    rounding = {"rd_round_fn": partial_call(f"{_BUILDER}.round_channels")} if gates_round else {}
    return call(
        "timm.models.mobilenetv3.MobileNetV3",
        **_arguments(config),
        se_layer=partial_call(
            "timm.models._efficientnet_blocks.SqueezeExcite",
            gate_layer="hard_sigmoid",
            force_act_layer="relu",
            **rounding,
        ),
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )


def _arguments(config: Config) -> dict[str, Any]:
    return {
        "block_args": call(
            f"{_BUILDER}.decode_arch_def",
            arch_def=[[_arch_string(stage) for stage in joined] for joined in config.joined_stages()],
        ),
        "stem_size": config.stem.channels,
        "fix_stem": True,
        "num_features": config.head.channels,
        "num_classes": config.num_classes,
        "in_chans": config.in_chans,
        "act_layer": call("timm.layers.get_act_layer", name=config.activation),
        "round_chs_fn": _KEEP_CHANNELS,
    }


@lru_cache(maxsize=4096)  # stages are shared by networks, and formatting takes ten times as long as finding them
def _arch_string(stage: Stage) -> str:
    expansion = f"_e{stage.expansion}" if stage.block == "ir" else ""
    squeeze = f"_se{stage.se_ratio}" if stage.se_ratio else ""
    activation = f"_n{_ABBREVIATION_BY_ACTIVATION[stage.activation]}" if stage.activation else ""
    noskip = "_noskip" if stage.block in _SHORTCUTS and not stage.skip else ""
    shape = f"r{stage.repeats}_k{stage.kernel}_s{stage.stride}{expansion}_c{stage.channels}"
    return f"{stage.block}_{shape}{squeeze}{activation}{noskip}"


def _plain_convolution(
    ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str, squeeze: Squeeze
) -> FeatureMap:
    return ledger.conv(x, stage.channels, stage.kernel, stride, activation=activation)


def _depthwise_separable(
    ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str, squeeze: Squeeze
) -> FeatureMap:
    shortcut = _shortcut(x, stage, stride)
    with ledger.keep_alive(x, shortcut):
        y = ledger.conv(x, x.channels, stage.kernel, stride, group_width=1, activation=activation)
        if stage.se_ratio:
            y = squeeze(ledger, y, stage, activation)
        last = activation if stage.block == "dsa" else None
        return ledger.conv(y, stage.channels, activation=last, added=shortcut)


def _inverted_residual(
    ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str, squeeze: Squeeze
) -> FeatureMap:
    wide = make_divisible(x.channels * stage.expansion, 8)
    shortcut = _shortcut(x, stage, stride)
    with ledger.keep_alive(x, shortcut):
        y = ledger.conv(x, wide, activation=activation)
        y = ledger.conv(y, wide, stage.kernel, stride, group_width=1, activation=activation)
        if stage.se_ratio:
            y = squeeze(ledger, y, stage, activation)
        return ledger.conv(y, stage.channels, added=shortcut)


def _shortcut(x: FeatureMap, stage: Stage, stride: int) -> Channels:
    """Return the channels of the shortcut: the input's if block input and output have the same shape, else 0."""
    has_shortcut = stage.skip and stage.block in _SHORTCUTS and stride == 1
    return x.channels * (x.channels == stage.channels) if has_shortcut else 0


def _squeeze_from_input(ledger: Ledger, x: FeatureMap, stage: Stage, activation: str) -> FeatureMap:
    """Squeeze to `se_ratio` of the block's input, rounded (EfficientNet)."""
    return ledger.squeeze_excite(x, round_channels(x.channels * (stage.se_ratio / stage.expansion)), activation)


def _squeeze_from_inner(ledger: Ledger, x: FeatureMap, stage: Stage, activation: str) -> FeatureMap:
    """Squeeze to `se_ratio` of the block's inner channels, rounded to a multiple of 8 (MobileNetV3)."""
    return ledger.squeeze_excite(x, make_divisible(x.channels * stage.se_ratio, 8))


def _squeeze_from_inner_exactly(ledger: Ledger, x: FeatureMap, stage: Stage, activation: str) -> FeatureMap:
    """Squeeze to `se_ratio` of the block's inner channels, rounded (LCNet)."""
    return ledger.squeeze_excite(x, round_channels(x.channels * stage.se_ratio))


_BLOCKS = {"ds": _depthwise_separable, "dsa": _depthwise_separable, "ir": _inverted_residual, "cn": _plain_convolution}
_SHORTCUTS = ("ds", "ir")  # blocks that may have a shortcut

_ACTIVATION_BY_ABBREVIATION = {"re": "relu", "r6": "relu6", "hs": "hard_swish", "sw": "swish"}
_ABBREVIATION_BY_ACTIVATION = {activation: name for name, activation in _ACTIVATION_BY_ABBREVIATION.items()}
_OPTION = re.compile(r"(?P<key>se|[rkcs]|e)(?P<value>\d+(\.\d+)?)|(?P<letter>n)(?P<name>re|r6|hs|sw)|noskip")
