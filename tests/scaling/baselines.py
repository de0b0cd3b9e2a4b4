"""Baselines for tests: the paper's, one with other rules, small ones with odd channel counts, and each family's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.scaling import families
from app.scaling.network import EFFICIENTNET_RULES, Architecture, Config, Head, ScalingRules, Stage, Stem

B0 = families.baseline("efficientnet_b0")
B0_AS_EFFICIENTNET = replace(B0, rules=EFFICIENTNET_RULES)
SMALL = Architecture(
    "small",
    Config(
        family="efficientnet",
        resolution=33,
        stem=Stem(10),
        stages=(
            Stage("ds", 1, 17, se_ratio=0.25),
            Stage("ir", 3, 20, kernel=5, stride=2, expansion=3),
            Stage("ir", 2, 46, stride=2, expansion=4, se_ratio=0.25),
        ),
        head=Head(100),
        in_chans=1,
        num_classes=10,
    ),
    ScalingRules(divisor=4),
)
SMALL_SCALED_WHOLE = replace(SMALL, rules=ScalingRules(divisor=8, depth="ceil", stem="scaled", head="scaled"))

ARCHITECTURES = (B0, B0_AS_EFFICIENTNET, SMALL, SMALL_SCALED_WHOLE)

OF_EVERY_FAMILY = tuple(
    a for family in families.families().values() for a in family.baselines[:: len(family.baselines) - 1 or 1]
)
SMALLEST_NAMES = (
    "efficientnet_b0",
    "tinynet_e",
    "efficientnet_lite0",
    "mobilenetv1_100",
    "mobilenetv2_035",
    "mobilenetv3_small_050",
    "mobilenetv3_large_075",
    "mnasnet_small",
    "ghostnet_050",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "regnetx_002",
    "regnety_002",
    "convnext_atto",
    "convnext_tiny",
    "lcnet_035",
    "fbnetc_100",
    "hardcorenas_a",
)
SMALLEST = tuple(families.baseline(name) for name in SMALLEST_NAMES)
"""Small baselines of every family, with each of its kinds of blocks."""

OWN_NAMES = ("small-mbconv", "small-regnet")
"""Baselines that timm does not have."""

EVERY_NAME = [
    name if name in (*SMALLEST_NAMES, *OWN_NAMES) else pytest.param(name, marks=pytest.mark.exhaustive)
    for name in families.baselines()
]
"""All baselines; `make test` runs on the small ones alone."""
