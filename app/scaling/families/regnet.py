"""RegNetX and RegNetY (Radosavovic et al., 2020): bottlenecks of ratio 1 with groups of one width; Y has a gate.

A baseline consists of the four stages that its parameters (w0, wa, wm, depth) generate (the paper's eq. 2 to 4, timm's
`generate_regnet`). Scaled, it is a stage-wise network of the same blocks, as in Dollár et al., 2021. The group width is
constant and channels form whole groups, as in timm's `adjust_widths_groups_comp`; fewer channels than a group's form
one group. The stem has 32 channels at any width; there is no head. Repeats are rounded as in the TinyNet paper.

`small-regnet` is rdw's own: a residual baseline for grey images of 48 px that trains in about a minute on one core.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from app.scaling.cost.ledger import FeatureMap, Ledger, changes_shape
from app.scaling.errors import InvalidNetwork
from app.scaling.families.family import Family, Recipe, call, partial_call, walk_stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.rounding import Channels, round_channels, round_to_groups

_SE_RATIO = 0.25  # of the block's input
_STAGES = 4

_PARAMETERS = {  # w0, wa, wm, group width, depth (timm's `model_cfgs`)
    "regnetx_002": (24, 36.44, 2.49, 8, 13),
    "regnetx_004": (24, 24.48, 2.54, 16, 22),
    "regnetx_006": (48, 36.97, 2.24, 24, 16),
    "regnetx_008": (56, 35.73, 2.28, 16, 16),
    "regnetx_016": (80, 34.01, 2.25, 24, 18),
    "regnetx_032": (88, 26.31, 2.25, 48, 25),
    "regnety_002": (24, 36.44, 2.49, 8, 13),
    "regnety_004": (48, 27.89, 2.09, 8, 16),
    "regnety_006": (48, 32.54, 2.32, 16, 15),
    "regnety_008": (56, 38.84, 2.4, 16, 14),
    "regnety_016": (48, 20.71, 2.65, 24, 27),
    "regnety_032": (80, 42.63, 2.66, 24, 21),
}


SMALL_REGNET = Config(
    family="regnet",
    resolution=48,
    stem=Stem(32),
    stages=tuple(
        Stage("regnet", repeats, channels, 3, 2, 1.0, 0.0, group_width=4)
        for repeats, channels in ((2, 24), (3, 48), (4, 96), (2, 192))
    ),
    head=Head(0),
    activation="relu",
    in_chans=1,
    num_classes=47,
)
_RULES = ScalingRules(head="fixed")


def _regnet(name: str) -> Architecture:
    w0, wa, wm, group_width, depth = _PARAMETERS[name]
    exponents = [round(math.log(1 + wa * i / w0) / math.log(wm)) for i in range(depth)]
    widths = Counter(round(w0 * wm**k / 8) * 8 for k in exponents)
    stages = []
    for width, repeats in sorted(widths.items()):
        channels, stage_group_width = round_to_groups(width, group_width)
        se_ratio = _SE_RATIO if name.startswith("regnety") else 0.0
        stages.append(Stage("regnet", repeats, channels, 3, 2, 1.0, se_ratio, group_width=stage_group_width))
    return Architecture(name, Config("regnet", 224, Stem(32), tuple(stages), Head(0), "relu"), _RULES)


def walk(config: Config, ledger: Ledger) -> None:
    """Record the network's operators in the order in which timm's `RegNet` runs them."""
    ledger.start_part("stem")
    x = ledger.conv(ledger.image, config.stem.channels, kernel=3, stride=2, activation=config.activation)

    def block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int) -> FeatureMap:
        return _block(ledger, x, stage, stride, config.activation)

    x = walk_stages(ledger, x, config.stages, block)
    ledger.start_part("head")
    ledger.linear(ledger.pool(x), config.num_classes)


def check(config: Config) -> None:
    """Raises: InvalidNetwork if timm's `RegNet` cannot build the network."""
    if (config.stem.kernel, config.stem.stride) != (3, 2):
        raise InvalidNetwork("/stem", "this family's stem is a 3 x 3 convolution of stride 2")
    if config.head.channels != 0:
        raise InvalidNetwork("/head/channels", "this family has no head: 0 channels")
    if len(config.stages) != _STAGES:
        raise InvalidNetwork("/stages", f"a RegNet has {_STAGES} stages")
    for index, stage in enumerate(config.stages):
        pointer = f"/stages/{index}"
        if stage.block != "regnet":
            raise InvalidNetwork(f"{pointer}/block", "blocks of this family are regnet")
        expected = Stage(
            "regnet", stage.repeats, stage.channels, 3, 2, 1.0, stage.se_ratio, group_width=stage.group_width
        )
        if stage != expected:
            raise InvalidNetwork(
                pointer, "a RegNet's stages have stride 2, 3 x 3 kernels, expansion 1, and groups by width only"
            )
        if stage.group_width < 1 or stage.channels % stage.group_width:
            raise InvalidNetwork(f"{pointer}/group_width", "the channels must be a multiple of the group width")


def timm(config: Config, drop_rate: float, drop_path_rate: float) -> Recipe:
    """Return timm's `RegNet` with its stages replaced, since its own parameters generate only regular networks.

    The weights are then initialised again, as the class does.
    """
    blocks = sum(stage.repeats for stage in config.stages)
    rates = [drop_path_rate * i / max(1, blocks - 1) for i in range(blocks)]
    x, features = config.stem.channels, [_feature(config.stem.channels, 2, "stem")]
    attributes: dict[str, Any] = {}
    for index, stage in enumerate(config.stages):
        name = f"s{index + 1}"
        attributes[name] = call(
            "timm.models.regnet.RegStage",
            depth=stage.repeats,
            in_chs=x,
            out_chs=stage.channels,
            stride=stage.stride,
            dilation=1,
            drop_path_rates=rates[: stage.repeats],
            bottle_ratio=1.0,
            group_size=stage.group_width,
            se_ratio=stage.se_ratio,
            act_layer=config.activation,
            norm_layer="batchnorm",
        )
        x, rates = stage.channels, rates[stage.repeats :]
        features.append(_feature(x, 4 * 2**index, name))
    attributes["head"] = call(
        "timm.layers.ClassifierHead", in_features=x, num_classes=config.num_classes, drop_rate=drop_rate
    )
    attributes |= {"num_features": x, "head_hidden_size": x, "feature_info": features}
    skeleton = call(
        "timm.models.regnet.RegNetCfg", depth=8, w0=8, wa=8.0, wm=2.0, group_size=8, stem_width=config.stem.channels,
        act_layer=config.activation,
    )  # fmt: skip
    network = call(
        "timm.models.regnet.RegNet",
        cfg=skeleton,
        in_chans=config.in_chans,
        num_classes=config.num_classes,
        drop_rate=drop_rate,
    )
    initialised = partial_call("timm.models.regnet._init_weights", zero_init_last=True)
    return call("timm.models._manipulate.named_apply", fn=initialised, module={**network, "attributes": attributes})


def _feature(channels: Channels, reduction: int, module: str) -> dict[str, Any]:
    return {"num_chs": channels, "reduction": reduction, "module": module}


def _block(ledger: Ledger, x: FeatureMap, stage: Stage, stride: int, activation: str) -> FeatureMap:
    out = stage.channels
    with ledger.keep_alive(x):
        y = ledger.conv(x, out, activation=activation)
        y = ledger.conv(y, out, 3, stride, group_width=stage.group_width, activation=activation)
        if stage.se_ratio:
            y = ledger.squeeze_excite(y, round_channels(x.channels * stage.se_ratio), activation)
        y = ledger.conv(y, out, activation=activation, added=out)
    has_projection = changes_shape(x, out, stride)
    if has_projection is not False:
        with ledger.keep_alive(y):
            ledger.conv(x, out * has_projection, 1, stride)
    return y


def _block_name(stage: int, block: int) -> str:
    return f"s{stage + 1}.b{block + 1}"


BASELINES = (
    *(_regnet(name) for name in _PARAMETERS),
    Architecture("small-regnet", SMALL_REGNET, replace(_RULES, divisor=4)),
)
FAMILY = Family("regnet", BASELINES, ("regnet",), walk, check, timm, block_name=_block_name)
