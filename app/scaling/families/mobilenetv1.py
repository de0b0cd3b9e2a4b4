"""MobileNetV1 (Howard et al., 2017): depthwise-separable blocks with an activation after the pointwise convolution.

Values are timm's (`_gen_mobilenet_v1`): no head but in `100h`, whose head is 1024 wide or more; the stem's channels
widen with the others'. As baselines all of them scale by the TinyNet paper's rules.
"""

from __future__ import annotations

from dataclasses import replace

from app.scaling.architecture import Architecture, Config, Head, ScalingRules, Stem
from app.scaling.families.mbconv import mbconv_family, stages

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

_GROWN = Architecture("mobilenetv1_100", V1, ScalingRules(stem="scaled"))

FAMILY = mbconv_family(
    "mobilenetv1",
    (
        Architecture("mobilenetv1_100", V1),
        Architecture("mobilenetv1_100h", replace(V1, head=Head(1024))),
        Architecture("mobilenetv1_125", _GROWN.assembled(V1.resolution, _GROWN.repeats(1.0), 1.25)),
    ),
)
