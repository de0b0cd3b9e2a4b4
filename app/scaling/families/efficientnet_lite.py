"""EfficientNet-Lite 0 to 4: EfficientNet without squeeze-excite and with ReLU6, for integer arithmetic.

The values are timm's (`_gen_efficientnet_lite`). Lite 1 to 4 are scaled from Lite 0: repeats are rounded up except in
the first and the last stage, and stem and head are fixed. As baselines all of them scale by the TinyNet paper's rules.
"""

from __future__ import annotations

from app.scaling.families.mbconv import inner_repeats, mbconv_family, stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stem

LITE0 = Config(
    family="efficientnet_lite",
    resolution=224,
    stem=Stem(32),
    stages=stages(
        "ds_r1_k3_s1_e1_c16",
        "ir_r2_k3_s2_e6_c24",
        "ir_r2_k5_s2_e6_c40",
        "ir_r3_k3_s2_e6_c80",
        "ir_r3_k5_s1_e6_c112",
        "ir_r4_k5_s2_e6_c192",
        "ir_r1_k3_s1_e6_c320",
    ),
    head=Head(1280),
    activation="relu6",
)

_VARIANTS = {  # px, depth, width
    "efficientnet_lite0": (224, 1.0, 1.0),
    "efficientnet_lite1": (240, 1.1, 1.0),
    "efficientnet_lite2": (260, 1.2, 1.1),
    "efficientnet_lite3": (300, 1.4, 1.2),
    "efficientnet_lite4": (380, 1.8, 1.4),
}


def _lite(name: str) -> Architecture:
    px, depth, width = _VARIANTS[name]
    base = Architecture("efficientnet_lite0", LITE0, ScalingRules(depth="ceil", head="fixed"))
    return Architecture(name, base.assemble(px, inner_repeats(base, depth), width))


FAMILY = mbconv_family("efficientnet_lite", tuple(_lite(name) for name in _VARIANTS))
