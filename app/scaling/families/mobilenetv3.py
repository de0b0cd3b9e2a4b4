"""MobileNetV3, large and small (Howard et al., 2019), at timm's widths.

The values are timm's (`_gen_mobilenet_v3`): a stem of 16 channels that widens from .75 on, stages with several kinds of
blocks, ReLU in the first stages and hard-swish in the others, and a head after the pooling with 1280 (small: 1024)
channels at any width. As baselines they scale by the TinyNet paper's rules with a fixed head, as in timm.
"""

from __future__ import annotations

from app.scaling.families.mbconv import late_head_family, stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stem

LARGE = Config(
    family="mobilenetv3",
    resolution=224,
    stem=Stem(16),
    stages=stages(
        "ds_r1_k3_s1_c16_nre",
        "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
        "ir_r3_k5_s2_e3_c40_se0.25_nre",
        "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
        "ir_r2_k3_s1_e6_c112_se0.25",
        "ir_r3_k5_s2_e6_c160_se0.25",
        "cn_r1_k1_s1_c960",
    ),
    head=Head(1280),
    activation="hard_swish",
)

SMALL = Config(
    family="mobilenetv3",
    resolution=224,
    stem=Stem(16),
    stages=stages(
        "ds_r1_k3_s2_c16_se0.25_nre",
        "ir_r1_k3_s2_e4.5_c24_nre ir_r1_k3_s1_e3.67_c24_nre",
        "ir_r1_k5_s2_e4_c40_se0.25 ir_r2_k5_s1_e6_c40_se0.25",
        "ir_r2_k5_s1_e3_c48_se0.25",
        "ir_r3_k5_s2_e6_c96_se0.25",
        "cn_r1_k1_s1_c576",
    ),
    head=Head(1024),
    activation="hard_swish",
)

_WIDTH_AND_DEPTH = {
    "mobilenetv3_large_075": (LARGE, 0.75, 1.0),
    "mobilenetv3_large_100": (LARGE, 1.0, 1.0),
    "mobilenetv3_large_150d": (LARGE, 1.5, 1.2),
    "mobilenetv3_small_050": (SMALL, 0.5, 1.0),
    "mobilenetv3_small_075": (SMALL, 0.75, 1.0),
    "mobilenetv3_small_100": (SMALL, 1.0, 1.0),
}


def _scaled(name: str) -> Architecture:
    config, width, depth = _WIDTH_AND_DEPTH[name]
    rules = ScalingRules(depth="ceil", stem="fixed" if width < 0.75 else "scaled", head="fixed")
    base = Architecture(name, config, rules)
    px = 256 if name == "mobilenetv3_large_150d" else config.resolution
    return Architecture(name, base.assemble(px, base.repeats(depth), width), ScalingRules(head="fixed"))


FAMILY = late_head_family("mobilenetv3", tuple(_scaled(name) for name in _WIDTH_AND_DEPTH))
