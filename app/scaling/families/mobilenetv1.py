"""MobileNetV1 (Howard et al., 2017): depthwise-separable blocks with an activation after the pointwise convolution.

The values are timm's (`_gen_mobilenet_v1`). Only `100h` has a head, of 1024 or more channels; the stem widens with the
stages. As baselines all of them scale by the TinyNet paper's rules.
"""

from __future__ import annotations

from dataclasses import replace

from app.scaling.families.mbconv import mbconv_family, stages
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stem

V1 = Config(
    family="mobilenetv1",
    resolution=224,
    stem=Stem(32),
    stages=stages(
        "dsa_r1_k3_s1_c64", "dsa_r2_k3_s2_c128", "dsa_r2_k3_s2_c256", "dsa_r6_k3_s2_c512", "dsa_r2_k3_s2_c1024"
    ),
    head=Head(0),
    activation="relu6",
)

_BASE = Architecture("mobilenetv1_100", V1, ScalingRules(stem="scaled"))

FAMILY = mbconv_family(
    "mobilenetv1",
    (
        Architecture("mobilenetv1_100", V1),
        Architecture("mobilenetv1_100h", replace(V1, head=Head(1024))),
        Architecture("mobilenetv1_125", _BASE.assemble(V1.resolution, _BASE.repeats(1.0), 1.25)),
    ),
)
