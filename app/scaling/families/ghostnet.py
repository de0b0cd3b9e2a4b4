"""GhostNet (Han et al., 2020) at timm's widths.

The values are timm's (`_create_ghostnet`). A 3 x 3 stem of stride 2 is followed by ghost bottlenecks, in which half of
each module's channels come from a cheap depthwise convolution, with squeeze-excite on a quarter of the inner channels.
Then come a 1 x 1 convolution to the last block's inner channels and, after the pooling, a head with 1280 channels at
any width. Channels are rounded to multiples of 4; inner channels are the block's input times the expansion, rounded to
multiples of 4. All baselines scale by the TinyNet paper's rules with GhostNet's divisor and a fixed head.
"""

from __future__ import annotations

from app.scaling.cost.ledger import FeatureMap, Ledger, changes_shape
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family, Recipe, call
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.rounding import Channels, make_divisible

_DIVISOR = 4
_HEAD = 1280
_STEM = 16
_RULES = ScalingRules(divisor=_DIVISOR, head="fixed")

# kernel, inner channels, channels, squeeze-excite ratio and stride of each block; a tuple per stage
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
    stem = x = _round_channels(_STEM * width)
    stages = []
    for rows in _ROWS:
        for row, (kernel, inner, channels, se_ratio, stride) in enumerate(rows):
            expansion = _round_channels(inner * width) / x
            x = _round_channels(channels * width)
            stages.append(Stage("ghost", 1, x, kernel, stride, expansion, se_ratio, joined=row > 0))
    return Architecture(name, Config("ghostnet", 224, Stem(stem), tuple(stages), Head(_HEAD), "relu"), _RULES)


def walk(config: Config, ledger: Ledger) -> None:
    """Record the network's operators in the order in which timm's `GhostNet` runs them."""
    ledger.start_part("stem")
    x = ledger.conv(ledger.image, config.stem.channels, kernel=3, stride=2, activation=config.activation)
    inner: dict[bool, Channels] = {}  # of the last stage's blocks: the first one and, if it is repeated, the others
    for index, stage in enumerate(config.stages):
        ledger.start_stage(index)
        x, first = _bottleneck(ledger, x, stage, stage.stride)
        inner = {False: first}
        if stage.repeats > 1:
            ledger.start_repeated_blocks(index, stage.repeats)
            x, inner[True] = _bottleneck(ledger, x, stage, 1)
    last = len(config.stages) - 1
    for is_repeated, channels in inner.items():
        ledger.start_part_after(last, config.stages[last].repeats, "head", is_repeated=is_repeated)
        y = ledger.pool(ledger.conv(x, channels, activation=config.activation))
        y = ledger.conv_bias(y, config.head.channels, activation=config.activation)
        ledger.linear(y, config.num_classes)


def check(config: Config) -> None:
    """Raises: InvalidNetwork if timm's `GhostNet` cannot build the network."""
    if (config.stem.kernel, config.stem.stride) != (3, 2):
        raise InvalidNetwork("/stem", "this family's stem is a 3 x 3 convolution of stride 2")
    if config.stem.channels % _DIVISOR:
        raise InvalidNetwork("/stem/channels", f"a GhostNet's channels are multiples of {_DIVISOR}")
    if config.head.channels != _HEAD:
        raise InvalidNetwork("/head/channels", f"a GhostNet's head has {_HEAD} channels")
    if config.activation != "relu":
        raise InvalidNetwork("/activation", "a GhostNet's activation is relu")
    for index, stage in enumerate(config.stages):
        pointer = f"/stages/{index}"
        if stage.block != "ghost":
            raise InvalidNetwork(f"{pointer}/block", "blocks of this family are ghost")
        if stage.channels % _DIVISOR:
            raise InvalidNetwork(f"{pointer}/channels", f"a GhostNet's channels are multiples of {_DIVISOR}")
        if stage.joined and index == 0:
            raise InvalidNetwork(f"{pointer}/joined", "the first entry cannot be joined to a previous one")
        if (stage.groups, stage.group_width, stage.activation, stage.skip) != (1, 0, None, True):
            raise InvalidNetwork(pointer, "a ghost block has a shortcut, but no groups and no activation of its own")


def timm(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    """Return the recipe of timm's `GhostNet`, with one row per block; it has no stochastic depth."""
    width = config.stem.channels / _STEM
    cfgs = []
    x = int(config.stem.channels)
    for stages in config.joined_stages():
        rows = []
        for stage in stages:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                inner = _round_channels(x * stage.expansion)
                rows.append([stage.kernel, inner / width, int(stage.channels) / width, stage.se_ratio, stride])
                x = int(stage.channels)
        cfgs.append(rows)
    arguments = {"num_classes": config.num_classes, "in_chans": config.in_chans, "drop_rate": drop_rate}
    return call("timm.models.ghostnet.GhostNet", cfgs=cfgs, width=width, **arguments)


def _bottleneck(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> tuple[FeatureMap, Channels]:
    """Record a block and return its output and its inner channels."""
    inner = make_divisible(x.channels * stage.expansion, _DIVISOR)
    with ledger.keep_alive(x):
        y = _ghost(ledger, x, inner, activation="relu")
        if stride > 1:
            y = ledger.conv(y, inner, stage.kernel, stride, group_width=1)
        if stage.se_ratio:
            y = ledger.squeeze_excite(y, make_divisible(inner * stage.se_ratio, _DIVISOR))
        y = _ghost(ledger, y, stage.channels, added=stage.channels)
    has_projection = changes_shape(x, stage.channels, stride)
    if has_projection is not False:  # depthwise and pointwise convolutions instead of a plain shortcut
        with ledger.keep_alive(y):
            shortcut = ledger.conv(x, x.channels * has_projection, stage.kernel, stride, group_width=1)
            ledger.conv(shortcut, stage.channels * has_projection)
    return y, inner


def _ghost(
    ledger: Ledger, x: FeatureMap, out: Channels, *, activation: str | None = None, added: Channels = 0
) -> FeatureMap:
    """Record a module with half of the channels from a 1 x 1 convolution and half from a depthwise one on those."""
    half = (out + 1) // 2
    primary = ledger.conv(x, half, activation=activation)
    cheap = ledger.conv(primary, half, 3, group_width=1, activation=activation)
    return FeatureMap(out, ledger.concatenate(primary, cheap, added=added).level)


def _round_channels(channels: float) -> int:
    return int(make_divisible(channels, _DIVISOR))


_WIDTHS = {"ghostnet_050": 0.5, "ghostnet_100": 1.0, "ghostnet_130": 1.3}

FAMILY = Family(
    "ghostnet", tuple(_ghostnet(name, width) for name, width in _WIDTHS.items()), ("ghost",), walk, check, timm
)
