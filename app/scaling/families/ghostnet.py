"""GhostNet (Han et al., 2020) at timm's widths.

Values are timm's (`_create_ghostnet`): a 3 x 3 stem of stride 2, ghost bottlenecks in which half of each module's
channels come from a cheap depthwise convolution, squeeze-excite on a quarter of the inner channels, a 1 x 1 convolution
to as many channels as the last block has inside, and after the pooling a head that keeps its 1280 at any width.
Channels are rounded to fours, inner ones to fours of the block's input times the expansion. As baselines all scale by
the TinyNet paper's rules with GhostNet's divisor, the head fixed.
"""

from __future__ import annotations

from app.scaling.architecture import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.cost import FeatureMap, Ledger, differs
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family, Recipe, call
from app.scaling.rounding import Channels, make_divisible

_DIVISOR = 4
_HEAD = 1280
_STEM = 16
_RULES = ScalingRules(divisor=_DIVISOR, head="fixed")

# kernel, inner channels, channels, squeeze-excite ratio, stride of each block; a tuple a stage
_ROWS = (
    ((3, 16, 16, 0.0, 1),),
    ((3, 48, 24, 0.0, 2),),
    ((3, 72, 24, 0.0, 1),),
    ((5, 72, 40, 0.25, 2),),
    ((5, 120, 40, 0.25, 1),),
    ((3, 240, 80, 0.0, 2),),
    ((3, 200, 80, 0.0, 1), (3, 184, 80, 0.0, 1), (3, 184, 80, 0.0, 1), (3, 480, 112, 0.25, 1), (3, 672, 112, 0.25, 1)),
    ((5, 672, 160, 0.25, 2),),
    ((5, 960, 160, 0.0, 1), (5, 960, 160, 0.25, 1), (5, 960, 160, 0.0, 1), (5, 960, 160, 0.25, 1)),
)


def _ghostnet(name: str, width: float) -> Architecture:
    stem = x = _rounded(_STEM * width)
    stages = []
    for rows in _ROWS:
        for row, (kernel, inner, channels, se_ratio, stride) in enumerate(rows):
            expansion = _rounded(inner * width) / x
            x = _rounded(channels * width)
            stages.append(Stage("ghost", 1, x, kernel, stride, expansion, se_ratio, joined=row > 0))
    return Architecture(name, Config("ghostnet", 224, Stem(stem), tuple(stages), Head(_HEAD), "relu"), _RULES)


def walk(config: Config, ledger: Ledger) -> None:
    """Books the network's operators in the order in which timm's `GhostNet` runs them."""
    ledger.part("stem")
    x = ledger.conv(ledger.image, config.stem.channels, kernel=3, stride=2)
    inner: Channels = 0
    for index, stage in enumerate(config.stages):
        ledger.stage(index)
        x, inner = _bottleneck(ledger, x, stage, stage.stride)
        if stage.repeats > 1:
            ledger.rest_of_stage(index, stage.repeats)
            x, inner = _bottleneck(ledger, x, stage, 1)
    ledger.part("head")
    x = ledger.pool(ledger.conv(x, inner))
    ledger.linear(ledger.conv_bias(x, config.head.channels), config.num_classes)


def check(config: Config) -> None:
    """Raises InvalidNetwork for what timm's `GhostNet` cannot build."""
    if (config.stem.kernel, config.stem.stride) != (3, 2):
        raise InvalidNetwork("/stem", "this family's stem is a 3 x 3 convolution of stride 2")
    if config.stem.channels % _DIVISOR:
        raise InvalidNetwork("/stem/channels", f"a GhostNet's channels are multiples of {_DIVISOR}")
    if config.head.channels != _HEAD:
        raise InvalidNetwork("/head/channels", f"a GhostNet's head has {_HEAD} channels")
    if config.activation != "relu":
        raise InvalidNetwork("/activation", "a GhostNet's activation is relu")
    for index, stage in enumerate(config.stages):
        where = f"/stages/{index}"
        if stage.block != "ghost":
            raise InvalidNetwork(f"{where}/block", "blocks of this family are ghost")
        if stage.channels % _DIVISOR:
            raise InvalidNetwork(f"{where}/channels", f"a GhostNet's channels are multiples of {_DIVISOR}")
        if stage.joined and index == 0:
            raise InvalidNetwork(f"{where}/joined", "there is no entry before the first")
        if (stage.groups, stage.group_width, stage.activation, stage.skip) != (1, 0, None, True):
            raise InvalidNetwork(where, "a ghost block has no groups, no activation of its own, and its shortcut")


def timm(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    """timm's `GhostNet` with a row a block, at the width that gives the stem; it knows no stochastic depth."""
    width = config.stem.channels / _STEM
    cfgs = []
    x = int(config.stem.channels)
    for stages in config.joined():
        rows = []
        for stage in stages:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                inner = _rounded(x * stage.expansion)
                rows.append([stage.kernel, inner / width, int(stage.channels) / width, stage.se_ratio, stride])
                x = int(stage.channels)
        cfgs.append(rows)
    arguments = {"num_classes": config.num_classes, "in_chans": config.in_chans, "drop_rate": drop_rate}
    return call("timm.models.ghostnet.GhostNet", cfgs=cfgs, width=width, **arguments)


def _bottleneck(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> tuple[FeatureMap, Channels]:
    """The block's output, and its inner channels."""
    inner = make_divisible(x.channels * stage.expansion, _DIVISOR)
    with ledger.held(x):
        y = _ghost(ledger, x, inner)
        if stride > 1:
            y = ledger.conv(y, inner, stage.kernel, stride, group_width=1)
        if stage.se_ratio:
            y = ledger.squeeze_excite(y, make_divisible(inner * stage.se_ratio, _DIVISOR))
        y = _ghost(ledger, y, stage.channels)
    there = differs(x, stage.channels, stride)
    if there is not False:  # depthwise and pointwise convolutions instead of a plain shortcut
        with ledger.held(y):
            shortcut = ledger.conv(x, x.channels * there, stage.kernel, stride, group_width=1)
            ledger.conv(shortcut, stage.channels * there)
    return y, inner


def _ghost(ledger: Ledger, x: FeatureMap, out: Channels) -> FeatureMap:
    """Half of the channels by a 1 x 1 convolution, the other half from those by a depthwise one."""
    half = (out + 1) // 2
    primary = ledger.conv(x, half)
    cheap = ledger.conv(primary, half, 3, group_width=1)
    return FeatureMap(out, ledger.concatenate(primary, cheap).level)


def _rounded(channels: float) -> int:
    return int(make_divisible(channels, _DIVISOR))


_WIDTHS = {"ghostnet_050": 0.5, "ghostnet_100": 1.0, "ghostnet_130": 1.3}

FAMILY = Family(
    "ghostnet", tuple(_ghostnet(name, width) for name, width in _WIDTHS.items()), ("ghost",), walk, check, timm
)
