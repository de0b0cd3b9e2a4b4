"""The five networks that the paper publishes, and the predictor fitted on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from app.scaling import families
from app.scaling.network import Multipliers
from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor

BASELINE = "efficientnet_b0"
DATASET = "imagenet-1000"
PREDICTOR = "published-tinynets"
PROVENANCE = (
    "TinyNet-A to E as published in Model Rubik's Cube (NeurIPS 2020, arXiv 2010.14819): multipliers and ImageNet "
    "top-1; c is each network's exact flops over EfficientNet-B0's."
)


@dataclass(frozen=True)
class PublishedNetwork:
    """A TinyNet from the paper's tables: `flops` in multiply-adds, top-1 from 0 to 1."""

    name: str
    multipliers: Multipliers
    flops: int
    top1: float


TINYNETS = (
    PublishedNetwork("tinynet_a", Multipliers(0.86, 1.2, 1.0), 339_000_000, 0.768),
    PublishedNetwork("tinynet_b", Multipliers(0.84, 1.1, 0.75), 202_000_000, 0.750),
    PublishedNetwork("tinynet_c", Multipliers(0.825, 0.85, 0.54), 100_000_000, 0.712),
    PublishedNetwork("tinynet_d", Multipliers(0.68, 0.695, 0.54), 52_000_000, 0.670),
    PublishedNetwork("tinynet_e", Multipliers(0.475, 0.6, 0.51), 24_000_000, 0.599),
)


def are_published(points: list[Point]) -> bool:
    """Whether all points have the multipliers of published networks, which are given rather than sampled."""
    published = {(net.multipliers.r, net.multipliers.d, net.multipliers.w) for net in TINYNETS}
    return all((p.r, p.d, p.w) in published for p in points)


@lru_cache(maxsize=1)
def published_predictor() -> Predictor:
    """Return the predictor that is available before any network has been trained."""
    baseline_flops = families.network_cost(families.baseline(BASELINE).baseline).flops
    return Predictor.fit(
        [
            Point(
                c=families.network_cost(families.baseline(net.name).baseline).flops / baseline_flops,
                r=net.multipliers.r,
                d=net.multipliers.d,
                w=net.multipliers.w,
                accuracy=net.top1,
                name=net.name,
            )
            for net in TINYNETS
        ],
        are_exact=True,
    )
