"""MobileNetV2 (Sandler et al., 2018) at timm's widths.

Values are timm's (`_gen_mobilenet_v2`): channels, the stem's as well, rounded to eights at each width, the head at 1280
or more; the two deeper ones (`110d`, `120d`) keep stem, head, and the first and the last stage's repeats. As baselines
all of them scale by the TinyNet paper's rules.
"""

from __future__ import annotations

from app.scaling.architecture import Architecture, Config, Head, ScalingRules, Stem
from app.scaling.families.mbconv import inner_repeats, mbconv_family, stages

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


def _wide(name: str) -> Architecture:
    grown = Architecture("mobilenetv2_100", V2, ScalingRules(stem="scaled"))
    return Architecture(name, grown.assembled(V2.resolution, grown.repeats(1.0), _WIDTHS[name]))


def _deep(name: str) -> Architecture:
    width, depth = _DEEPER[name]
    grown = Architecture("mobilenetv2_100", V2, ScalingRules(depth="ceil", head="fixed"))
    return Architecture(name, grown.assembled(V2.resolution, inner_repeats(grown, depth), width))


FAMILY = mbconv_family("mobilenetv2", (*(_wide(name) for name in _WIDTHS), *(_deep(name) for name in _DEEPER)))
