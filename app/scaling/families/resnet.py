"""ResNet (He et al., 2016) with the stride in the 3 x 3 convolution, as in torchvision and timm.

The values are timm's (`resnet18` …): a 7 x 7 stem of 64 channels and stride 2, max pooling, four stages, no head. A
stage's channels are its blocks' outputs. A bottleneck's inner channels are the family's `expansion` of those, .25, in
whole groups. The stem has 64 channels at any width, as in timm's class, and repeats are rounded as in the TinyNet
paper. The divisor is that of the planes, 8, times the ratio of a block's outputs to its planes: 8 for `basic`, 32 for
`bottleneck`.
"""

from __future__ import annotations

from app.scaling.cost.ledger import FeatureMap, Ledger, changes_shape
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family, Recipe, call, walk_stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.rounding import Channels

_STEM = Stem(64, kernel=7, stride=2)
_OUTPUT_FACTORS = {"basic": 1, "bottleneck": 4}  # a block's outputs, relative to timm's `planes`
_TIMM_CLASSES = {"basic": "timm.models.resnet.BasicBlock", "bottleneck": "timm.models.resnet.Bottleneck"}
_BASE_WIDTH = 64  # of timm's classes: inner channels per group at 64 planes
_STAGES = 4


def resnet(
    name: str,
    block: str,
    layers: tuple[int, ...],
    *,
    family: str = "resnet",
    groups: int = 1,
    base_width: int = _BASE_WIDTH,
    divisor: int = 8,
) -> Architecture:
    """Return a baseline of 64, 128, 256 and 512 planes; `base_width` is timm's, and `divisor` is that of the planes."""
    out = _OUTPUT_FACTORS[block]
    stages = tuple(
        Stage(
            block,
            repeats,
            channels=64 * 2**i * out,
            stride=1 if i == 0 else 2,
            expansion=base_width * groups / _BASE_WIDTH / out,
            groups=groups,
        )
        for i, repeats in enumerate(layers)
    )
    config = Config(family, 224, _STEM, stages, Head(0), "relu")
    return Architecture(name, config, ScalingRules(divisor=divisor * out, head="fixed"))


def resnet_family(name: str, baselines: tuple[Architecture, ...]) -> Family:
    """Return the family of that name, with these baselines, on timm's `ResNet`."""
    return Family(name, baselines, tuple(_OUTPUT_FACTORS), walk, check, timm, block_name=_block_name)


def walk(config: Config, ledger: Ledger) -> None:
    """Record the network's operators in the order in which timm's `ResNet` runs them."""
    ledger.start_part("stem")
    x = ledger.conv(ledger.image, config.stem.channels, kernel=7, stride=2, activation=config.activation)
    x = ledger.max_pool(x, kernel=3, stride=2)

    def block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> FeatureMap:
        return _block(ledger, x, stage, stride, config.activation)

    x = walk_stages(ledger, x, config.stages, block)
    ledger.start_part("head")
    ledger.linear(ledger.pool(x), config.num_classes)


def check(config: Config) -> None:
    """Raises: InvalidNetwork if timm's `ResNet` cannot build the network."""
    if config.stem != _STEM:
        raise InvalidNetwork("/stem", "this family's stem is a 7 x 7 convolution to 64 channels, of stride 2")
    if config.head.channels != 0:
        raise InvalidNetwork("/head/channels", "this family has no head: 0 channels")
    if len(config.stages) > _STAGES:
        raise InvalidNetwork("/stages", f"this family has at most {_STAGES} stages")
    if sum(stage.repeats for stage in config.stages) < 2:
        raise InvalidNetwork("/stages", "a ResNet has at least two blocks")
    first = config.stages[0]
    for index, stage in enumerate(config.stages):
        pointer = f"/stages/{index}"
        if stage.block not in _OUTPUT_FACTORS:
            raise InvalidNetwork(f"{pointer}/block", f"blocks of this family are {', '.join(_OUTPUT_FACTORS)}")
        if stage.stride != (1 if index == 0 else 2):
            raise InvalidNetwork(f"{pointer}/stride", "the first stage of a ResNet has stride 1, the others 2")
        if (stage.block, stage.expansion, stage.groups) != (first.block, first.expansion, first.groups):
            raise InvalidNetwork(pointer, "all stages of a ResNet have the same block, expansion and groups")
        if stage.channels % _OUTPUT_FACTORS[stage.block]:
            raise InvalidNetwork(
                f"{pointer}/channels", f"a {stage.block}'s channels are multiples of {_OUTPUT_FACTORS[stage.block]}"
            )
        if stage != Stage(
            stage.block, stage.repeats, stage.channels, 3, stage.stride, stage.expansion, groups=stage.groups
        ):
            raise InvalidNetwork(
                pointer, "a ResNet's blocks have 3 x 3 kernels, shortcuts, one activation and no gates"
            )
        if stage.block == "basic" and (stage.expansion, stage.groups) != (1, 1):
            raise InvalidNetwork(pointer, "a basic block has expansion 1 and one group")
        base_width = _base_width(stage)
        if base_width < 1 or base_width != int(base_width):
            raise InvalidNetwork(
                f"{pointer}/expansion", "expansion * 256 / groups (timm's base_width) must be a whole number"
            )
        if _inner_channels(stage.channels, stage) < 1:
            raise InvalidNetwork(f"{pointer}/channels", "there must be at least one channel per group")


def timm(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    """Return the recipe of timm's `ResNet`."""
    first = config.stages[0]
    out = _OUTPUT_FACTORS[first.block]
    return call(
        "timm.models.resnet.ResNet",
        block={"class": _TIMM_CLASSES[first.block]},
        layers=[stage.repeats for stage in config.stages],
        channels=[stage.channels // out for stage in config.stages],
        cardinality=first.groups,
        base_width=int(_base_width(first)),
        act_layer=config.activation,
        num_classes=config.num_classes,
        in_chans=config.in_chans,
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )


def _block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str) -> FeatureMap:
    inner = _basic if stage.block == "basic" else _bottleneck
    with ledger.keep_alive(x):
        y = inner(ledger, x, stage, stride, activation)
    has_projection = changes_shape(x, stage.channels, stride)
    if has_projection is not False:
        with ledger.keep_alive(y):
            ledger.conv(x, stage.channels * has_projection, 1, stride)
    return y


def _basic(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str) -> FeatureMap:
    y = ledger.conv(x, stage.channels, 3, stride, activation=activation)
    return ledger.conv(y, stage.channels, 3, activation=activation, added=stage.channels)


def _bottleneck(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str) -> FeatureMap:
    inner = _inner_channels(stage.channels, stage)
    y = ledger.conv(x, inner, activation=activation)
    group_width = None if stage.groups == 1 else inner // stage.groups
    y = ledger.conv(y, inner, 3, stride, group_width=group_width, activation=activation)
    return ledger.conv(y, stage.channels, activation=activation, added=stage.channels)


def _inner_channels(channels: Channels, stage: Stage) -> Channels:
    """Return timm's floor(planes * base_width / 64) * cardinality."""
    return channels // _OUTPUT_FACTORS[stage.block] * int(_base_width(stage)) // _BASE_WIDTH * stage.groups


def _block_name(stage: int, block: int) -> str:
    return f"layer{stage + 1}.{block}"


def _base_width(stage: Stage) -> float:
    return stage.expansion * _OUTPUT_FACTORS[stage.block] * _BASE_WIDTH / stage.groups


FAMILY = resnet_family(
    "resnet",
    (
        resnet("resnet18", "basic", (2, 2, 2, 2)),
        resnet("resnet34", "basic", (3, 4, 6, 3)),
        resnet("resnet50", "bottleneck", (3, 4, 6, 3)),
        resnet("resnet101", "bottleneck", (3, 4, 23, 3)),
        resnet("resnet152", "bottleneck", (3, 8, 36, 3)),
    ),
)
