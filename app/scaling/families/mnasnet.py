"""MnasNet B1 (`mnasnet`), A1 with squeeze-excite (`semnasnet`) and small (Tan et al., 2019), at timm's widths.

The values are timm's (`_gen_mnasnet_b1`, `_gen_mnasnet_a1`, `_gen_mnasnet_small`). All channels, including the stem's,
are rounded to multiples of 8 at each width, and the head has 1280 channels at any width. As baselines all scale by the
TinyNet paper's rules.
"""

from __future__ import annotations

from app.scaling.families.mbconv import mbconv_family, stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stem

B1 = Config(
    family="mnasnet",
    resolution=224,
    stem=Stem(32),
    stages=stages(
        "ds_r1_k3_s1_c16_noskip",
        "ir_r3_k3_s2_e3_c24",
        "ir_r3_k5_s2_e3_c40",
        "ir_r3_k5_s2_e6_c80",
        "ir_r2_k3_s1_e6_c96",
        "ir_r4_k5_s2_e6_c192",
        "ir_r1_k3_s1_e6_c320_noskip",
    ),
    head=Head(1280),
    activation="relu",
)

A1 = Config(
    family="mnasnet",
    resolution=224,
    stem=Stem(32),
    stages=stages(
        "ds_r1_k3_s1_c16_noskip",
        "ir_r2_k3_s2_e6_c24",
        "ir_r3_k5_s2_e3_c40_se0.25",
        "ir_r4_k3_s2_e6_c80",
        "ir_r2_k3_s1_e6_c112_se0.25",
        "ir_r3_k5_s2_e6_c160_se0.25",
        "ir_r1_k3_s1_e6_c320",
    ),
    head=Head(1280),
    activation="relu",
)

SMALL = Config(
    family="mnasnet",
    resolution=224,
    stem=Stem(8),
    stages=stages(
        "ds_r1_k3_s1_c8",
        "ir_r1_k3_s2_e3_c16",
        "ir_r2_k3_s2_e6_c16",
        "ir_r4_k5_s2_e6_c32_se0.25",
        "ir_r3_k3_s1_e6_c32_se0.25",
        "ir_r3_k5_s2_e6_c88_se0.25",
        "ir_r1_k3_s1_e6_c144",
    ),
    head=Head(1280),
    activation="relu",
)

_WIDTHS = {
    "mnasnet_050": (B1, 0.5),
    "mnasnet_075": (B1, 0.75),
    "mnasnet_100": (B1, 1.0),
    "mnasnet_140": (B1, 1.4),
    "semnasnet_050": (A1, 0.5),
    "semnasnet_075": (A1, 0.75),
    "semnasnet_100": (A1, 1.0),
    "semnasnet_140": (A1, 1.4),
    "mnasnet_small": (SMALL, 1.0),
}


def _at_width(name: str) -> Architecture:
    config, width = _WIDTHS[name]
    base = Architecture(name, config, ScalingRules(stem="scaled", head="fixed"))
    return Architecture(name, base.assemble(config.resolution, base.repeats(1.0), width))


FAMILY = mbconv_family("mnasnet", tuple(_at_width(name) for name in _WIDTHS))
