"""ResNeXt (Xie et al., 2017): ResNet's bottlenecks with grouped 3 x 3 convolutions.

The values are timm's (`resnext50_32x4d` …). The number of groups (cardinality) is constant as the width changes. Planes
are multiples of 16, so that the inner channels, at least twice the planes, fill all 32 groups.
"""

from __future__ import annotations

from app.scaling.families.resnet import resnet, resnet_family

_50, _101 = (3, 4, 6, 3), (3, 4, 23, 3)

FAMILY = resnet_family(
    "resnext",
    (
        resnet("resnext50_32x4d", "bottleneck", _50, family="resnext", groups=32, base_width=4, divisor=16),
        resnet("resnext101_32x4d", "bottleneck", _101, family="resnext", groups=32, base_width=4, divisor=16),
        resnet("resnext101_32x8d", "bottleneck", _101, family="resnext", groups=32, base_width=8, divisor=16),
    ),
)
