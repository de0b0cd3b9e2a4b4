"""ConvNeXt, atto to tiny (Liu et al., 2022; the small ones are timm's).

The values are timm's (`convnext_atto` …). A 4 x 4 stem of stride 4 is followed by four stages of 7 x 7 depthwise
convolutions, each with two dense layers to four times the channels and back, with layer norms, and with a 2 x 2
convolution of stride 2 between stages. The dense layers are 1 x 1 convolutions (block `convnext_conv`) in the small
networks and linear layers (`convnext_linear`) in tiny. The stem has the first stage's channels, so it widens with that
stage; there is no head. Repeats are rounded as in the TinyNet paper, channels to multiples of 8. An input needs 32 px.
"""

from __future__ import annotations

from app.scaling.cost.ledger import FeatureMap, Ledger
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family, Recipe, call, walk_stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stage, Stem

_STAGES = 4
_EXPANSION = 4.0  # fixed by timm's stages
_BLOCKS = ("convnext_conv", "convnext_linear")

_BASELINES = {  # repeats, channels, block
    "convnext_atto": ((2, 2, 6, 2), (40, 80, 160, 320), "convnext_conv"),
    "convnext_femto": ((2, 2, 6, 2), (48, 96, 192, 384), "convnext_conv"),
    "convnext_pico": ((2, 2, 6, 2), (64, 128, 256, 512), "convnext_conv"),
    "convnext_nano": ((2, 2, 8, 2), (80, 160, 320, 640), "convnext_conv"),
    "convnext_tiny": ((3, 3, 9, 3), (96, 192, 384, 768), "convnext_linear"),
}


def _convnext(name: str) -> Architecture:
    repeats, channels, block = _BASELINES[name]
    stages = tuple(
        Stage(block, n, c, kernel=7, stride=1 if i == 0 else 2, expansion=_EXPANSION)
        for i, (n, c) in enumerate(zip(repeats, channels, strict=True))
    )
    stem = Stem(channels[0], kernel=4, stride=4)
    config = Config("convnext", 224, stem, stages, Head(0), activation="gelu")
    return Architecture(name, config, ScalingRules(stem="scaled", head="fixed"))


def walk(config: Config, ledger: Ledger) -> None:
    """Record the network's operators in the order in which timm's `ConvNeXt` runs them."""
    ledger.start_part("stem")
    x = ledger.layer_norm(ledger.conv_bias(ledger.image, config.stem.channels, 4, 4, padding=0))

    def block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> FeatureMap:
        return _block(ledger, x, stage, stride, config.activation)

    x = walk_stages(ledger, x, config.stages, block)
    ledger.start_part("head")
    ledger.linear(ledger.layer_norm(ledger.pool(x)), config.num_classes)


def check(config: Config) -> None:
    """Raises: InvalidNetwork if timm's `ConvNeXt` cannot build the network."""
    if len(config.stages) != _STAGES:
        raise InvalidNetwork("/stages", f"a ConvNeXt has {_STAGES} stages")
    if config.stem != Stem(config.stages[0].channels, 4, 4):
        raise InvalidNetwork("/stem", "a ConvNeXt's stem is 4 x 4, of stride 4, with the first stage's channels")
    if config.head.channels != 0:
        raise InvalidNetwork("/head/channels", "this family has no head: 0 channels")
    for index, stage in enumerate(config.stages):
        pointer = f"/stages/{index}"
        if stage.block not in _BLOCKS:
            raise InvalidNetwork(f"{pointer}/block", f"blocks of this family are {', '.join(_BLOCKS)}")
        if stage.block != config.stages[0].block:
            raise InvalidNetwork(f"{pointer}/block", "all stages of a ConvNeXt have the same block")
        if stage.stride != (1 if index == 0 else 2):
            raise InvalidNetwork(f"{pointer}/stride", "the first stage of a ConvNeXt has stride 1, the others 2")
        if stage.expansion != _EXPANSION:
            raise InvalidNetwork(f"{pointer}/expansion", f"a ConvNeXt's expansion is {_EXPANSION:g}")
        expected = Stage(stage.block, stage.repeats, stage.channels, stage.kernel, stage.stride, _EXPANSION)
        if stage != expected:
            raise InvalidNetwork(pointer, "a ConvNeXt's blocks have shortcuts, one activation, no gates and no groups")


def timm(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    """Return the recipe of timm's `ConvNeXt`."""
    return call(
        "timm.models.convnext.ConvNeXt",
        depths=[stage.repeats for stage in config.stages],
        dims=[stage.channels for stage in config.stages],
        kernel_sizes=[stage.kernel for stage in config.stages],
        conv_mlp=config.stages[0].block == "convnext_conv",
        act_layer=config.activation,
        num_classes=config.num_classes,
        in_chans=config.in_chans,
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )


def _block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str) -> FeatureMap:
    if stride > 1:  # between two stages
        x = ledger.conv_bias(ledger.layer_norm(x), stage.channels, 2, 2, padding=0)
    inner = x.channels * int(stage.expansion)
    with ledger.keep_alive(x):
        y = ledger.layer_norm(ledger.conv_bias(x, x.channels, stage.kernel, group_width=1))
        layer = ledger.conv_bias if stage.block == "convnext_conv" else ledger.linear
        y = layer(layer(y, inner, activation=activation), x.channels, added=x.channels)
    return ledger.scale(y)


FAMILY = Family(
    "convnext", tuple(_convnext(name) for name in _BASELINES), _BLOCKS, walk, check, timm,
    block_name="stages.{}.blocks.{}".format,
)  # fmt: skip
