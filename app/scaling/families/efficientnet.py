"""EfficientNet (Tan and Le, 2019) and its scaled networks, including TinyNet-A to E, and a small network like it.

Values and rules are timm's (`_gen_efficientnet`, `_gen_tinynet`): a 3 x 3 stem of stride 2, one depthwise-separable
stage, inverted residuals (MBConv) with squeeze-excite on a quarter of the block's input, and a 1 x 1 head.

`small-mbconv` is rdw's own: a baseline for grey images of 32 px that trains in about a minute on one core. The
recorded studies were made with it, on 47 classes.
"""

from __future__ import annotations

from app.scaling.families.mbconv import mbconv_family, stages
from app.scaling.network import EFFICIENTNET_RULES, Architecture, Config, Head, Multipliers, ScalingRules, Stem

B0 = Config(
    family="efficientnet",
    resolution=224,
    stem=Stem(32),
    stages=stages(
        "ds_r1_k3_s1_e1_c16_se0.25",
        "ir_r2_k3_s2_e6_c24_se0.25",
        "ir_r2_k5_s2_e6_c40_se0.25",
        "ir_r3_k3_s2_e6_c80_se0.25",
        "ir_r3_k5_s1_e6_c112_se0.25",
        "ir_r4_k5_s2_e6_c192_se0.25",
        "ir_r1_k3_s1_e6_c320_se0.25",
    ),
    head=Head(1280),
)

SMALL_MBCONV = Config(
    family="efficientnet",
    resolution=32,
    stem=Stem(16),
    stages=stages(
        "ds_r1_k3_s1_e1_c16",
        "ir_r2_k3_s2_e4_c24",
        "ir_r2_k5_s2_e4_c40",
        "ir_r3_k3_s2_e4_c80",
        "ir_r2_k5_s1_e4_c128",
    ),
    head=Head(256),
    activation="relu6",
    in_chans=1,
    num_classes=47,
)

_VARIANTS = {  # px, depth, width (timm's `_gen_efficientnet`)
    "efficientnet_b0": (224, 1.0, 1.0),
    "efficientnet_b1": (240, 1.1, 1.0),
    "efficientnet_b2": (260, 1.2, 1.1),
    "efficientnet_b3": (300, 1.4, 1.2),
    "efficientnet_b4": (380, 1.8, 1.4),
    "efficientnet_b5": (456, 2.2, 1.6),
    "efficientnet_b6": (528, 2.6, 1.8),
    "efficientnet_b7": (600, 3.1, 2.0),
    "efficientnet_b8": (672, 3.6, 2.2),
}


def _efficientnet(name: str) -> Architecture:
    px, depth, width = _VARIANTS[name]
    base = Architecture("efficientnet_b0", B0, EFFICIENTNET_RULES)
    return Architecture(name, base.assemble(px, base.repeats(depth), width))


def _tinynet(name: str, multipliers: Multipliers) -> Architecture:
    return Architecture(name, Architecture("efficientnet_b0", B0).scale(multipliers))


BASELINES = (
    *(_efficientnet(name) for name in _VARIANTS),
    _tinynet("tinynet_a", Multipliers(0.86, 1.2, 1.0)),
    _tinynet("tinynet_b", Multipliers(0.84, 1.1, 0.75)),
    _tinynet("tinynet_c", Multipliers(0.825, 0.85, 0.54)),
    _tinynet("tinynet_d", Multipliers(0.68, 0.695, 0.54)),
    _tinynet("tinynet_e", Multipliers(0.475, 0.6, 0.51)),
    Architecture("small-mbconv", SMALL_MBCONV, ScalingRules(divisor=4)),
)

FAMILY = mbconv_family("efficientnet", BASELINES)
