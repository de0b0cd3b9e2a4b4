"""How near the default answer comes to its budget, and how far it moves from what the rule says.

Random targets from 5 % to 100 % of each baseline, by the tiny formula with the built-in predictor: quantiles of
|budget error| in percent, nearest and never above, and px and d moved.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time

from app.scaling.architecture import Architecture
from app.scaling.errors import TargetOutOfRange
from app.scaling.families import baseline
from app.scaling.published import published_predictor
from app.scaling.recommend import Budget, Recommendation, flops_of, recommend

NETWORKS = (
    "efficientnet_b0",
    "efficientnet_lite0",
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mnasnet_100",
    "ghostnet_100",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "regnetx_002",
    "regnety_016",
    "convnext_atto",
    "convnext_tiny",
)


def answers(architecture: Architecture, targets: list[int], budget: Budget) -> list[Recommendation]:
    """Those that there are: below what a network costs at the least there is none."""
    found = []
    for target in targets:
        try:
            found.append(
                recommend(architecture, target, "tiny_formula", predictor=published_predictor(), budget=budget)
            )
        except TargetOutOfRange:
            continue
    return found


def percentiles(found: list[Recommendation]) -> list[float]:
    """Median, 95th and 99th percentile and the greatest of |budget error|, percent."""
    errors = sorted(100 * abs(f.budget_error or 0.0) for f in found)
    return [errors[min(len(errors) - 1, round(q * len(errors)))] for q in (0.5, 0.95, 0.99, 1.0)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help="baselines (default: some of each family)")
    parser.add_argument("--targets", type=int, default=1000, help="of each baseline (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="(default: the time)")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"{'|budget error|, %':<24}{'median':>8}{'95th':>8}{'99th':>8}{'most':>8}", end="")
    print(f"{'px mean':>10}{'most':>6}{'d most':>8}{'answers':>9}{'at_most 95th':>14}{'above':>7}")
    for name in args.networks:
        architecture = baseline(name)
        targets = [round(rng.uniform(0.05, 1.0) * flops_of(architecture)) for _ in range(args.targets)]
        nearest = answers(architecture, targets, Budget())
        below = answers(architecture, targets[: args.targets // 4], Budget("at_most"))
        px = [abs(f.moved.px) for f in nearest if f.moved]
        depth = max(abs(f.moved.depth) for f in nearest if f.moved)
        print(f"{name:<24}" + "".join(f"{q:>8.3f}" for q in percentiles(nearest)), end="")
        print(f"{statistics.fmean(px):>10.2f}{max(px):>6}{depth:>8.3f}{len(nearest):>9}", end="")
        print(f"{percentiles(below)[1]:>14.3f}{sum((f.budget_error or 0) > 0 for f in below):>7}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
