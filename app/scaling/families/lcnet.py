"""PP-LCNet (Cui et al., 2021): depthwise-separable stages with hard-swish, at timm's widths.

The values are timm's (`_gen_lcnet`). The channels, including the stem's, are rounded to multiples of 8 at each width,
the squeezed channels of the gates are not, and the head after the pooling has 1280 channels at any width. As baselines
all scale by the TinyNet paper's rules with a fixed head.
"""

from __future__ import annotations

from app.scaling.families.mbconv import late_head_family, stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stem

LCNET = Config(
    family="lcnet",
    resolution=224,
    stem=Stem(16),
    stages=stages(
        "dsa_r1_k3_s1_c32",
        "dsa_r2_k3_s2_c64",
        "dsa_r2_k3_s2_c128",
        "dsa_r1_k3_s2_c256 dsa_r1_k5_s1_c256",
        "dsa_r4_k5_s1_c256",
        "dsa_r2_k5_s2_c512_se0.25",
    ),
    head=Head(1280),
    activation="hard_swish",
)

_WIDTHS = {"lcnet_035": 0.35, "lcnet_050": 0.5, "lcnet_075": 0.75, "lcnet_100": 1.0, "lcnet_150": 1.5}


def _at_width(name: str) -> Architecture:
    base = Architecture(name, LCNET, ScalingRules(stem="scaled", head="fixed"))
    config = base.assemble(LCNET.resolution, base.repeats(1.0), _WIDTHS[name])
    return Architecture(name, config, ScalingRules(head="fixed"))


FAMILY = late_head_family("lcnet", tuple(_at_width(name) for name in _WIDTHS), gates_round=False)
