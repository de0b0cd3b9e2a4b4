"""MobileNetV2 (Sandler et al., 2018) at timm's widths.

The values are timm's (`_gen_mobilenet_v2`). Channels, including the stem's, are rounded to multiples of 8 at each
width, and the head has 1280 or more. The two deeper networks (`110d`, `120d`) have the original stem and head, and the
original repeats in the first and the last stage. As baselines all of them scale by the TinyNet paper's rules.
"""

from __future__ import annotations

from app.scaling.families.mbconv import inner_repeats, mbconv_family, stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stem

V2 = Config(
    family="mobilenetv2",
    resolution=224,
    stem=Stem(32),
    stages=stages(
        "ds_r1_k3_s1_c16",
        "ir_r2_k3_s2_e6_c24",
        "ir_r3_k3_s2_e6_c32",
        "ir_r4_k3_s2_e6_c64",
        "ir_r3_k3_s1_e6_c96",
        "ir_r3_k3_s2_e6_c160",
        "ir_r1_k3_s1_e6_c320",
    ),
    head=Head(1280),
    activation="relu6",
)

_WIDTHS = {
    "mobilenetv2_035": 0.35,
    "mobilenetv2_050": 0.5,
    "mobilenetv2_075": 0.75,
    "mobilenetv2_100": 1.0,
    "mobilenetv2_140": 1.4,
}
_DEEPER = {"mobilenetv2_110d": (1.1, 1.2), "mobilenetv2_120d": (1.2, 1.4)}  # width, depth


def _at_width(name: str) -> Architecture:
    base = Architecture("mobilenetv2_100", V2, ScalingRules(stem="scaled"))
    return Architecture(name, base.assemble(V2.resolution, base.repeats(1.0), _WIDTHS[name]))


def _at_depth(name: str) -> Architecture:
    width, depth = _DEEPER[name]
    base = Architecture("mobilenetv2_100", V2, ScalingRules(depth="ceil", head="fixed"))
    return Architecture(name, base.assemble(V2.resolution, inner_repeats(base, depth), width))


FAMILY = mbconv_family("mobilenetv2", (*(_at_width(name) for name in _WIDTHS), *(_at_depth(name) for name in _DEEPER)))
