"""How close the default answer comes to its budget, and how far it moves from the rule's r and d.

For random targets from 5 % to 100 % of each baseline, by the tiny formula with the built-in predictor: quantiles of
|budget error| in percent, for the modes `nearest` and `at_most`, and the displacement of px and d.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from contextlib import suppress

from app.scaling.families import baseline, flops_of
from app.scaling.network import Architecture
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.rules.recommend import Budget, Recommendation, recommend
from app.scaling.solver.width_solver import TargetOutOfRange

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


def recommend_all(architecture: Architecture, targets: list[int], budget: Budget) -> list[Recommendation]:
    """Return the recommendations for all targets that the network can reach."""
    recommendations = []
    for target in targets:
        with suppress(TargetOutOfRange):
            recommendations.append(
                recommend(architecture, target, "tiny_formula", predictor=published_predictor(), budget=budget)
            )
    return recommendations


def compute_percentiles(recommendations: list[Recommendation]) -> list[float]:
    """Return the median, 95th and 99th percentile and the maximum of |budget error| in percent."""
    errors = sorted(100 * abs(r.budget_error or 0.0) for r in recommendations)
    return [errors[min(len(errors) - 1, round(q * len(errors)))] for q in (0.5, 0.95, 0.99, 1.0)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help="baselines (default: some of each family)")
    parser.add_argument("--targets", type=int, default=1000, help="targets for each baseline (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 2**32, help="seed of the targets (default: the time)"
    )
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"{'|budget error|, %':<24}{'median':>8}{'95th':>8}{'99th':>8}{'max':>8}", end="")
    print(f"{'px mean':>10}{'max':>6}{'d max':>8}{'answers':>9}{'at_most 95th':>14}{'above':>7}")
    for name in args.networks:
        architecture = baseline(name)
        targets = [round(rng.uniform(0.05, 1.0) * flops_of(architecture)) for _ in range(args.targets)]
        nearest = recommend_all(architecture, targets, Budget())
        at_most = recommend_all(architecture, targets[: args.targets // 4], Budget("at_most"))
        px = [abs(f.displacement.px) for f in nearest if f.displacement]
        depth = max(abs(f.displacement.depth) for f in nearest if f.displacement)
        print(f"{name:<24}" + "".join(f"{q:>8.3f}" for q in compute_percentiles(nearest)), end="")
        print(f"{statistics.fmean(px):>10.2f}{max(px):>6}{depth:>8.3f}{len(nearest):>9}", end="")
        print(
            f"{compute_percentiles(at_most)[1]:>14.3f}{sum((f.budget_error or 0) > 0 for f in at_most):>7}", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
