"""How long costs take, compared to building the network and counting with fvcore.

For one or two baselines of each family: milliseconds for the analytic cost of its config and for fvcore's flops of the
built network (which are checked to be equal), their ratio, microseconds for each of 10,000 random candidates computed
together, and for a complete `recommend()` with new targets.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from app.scaling.families import baseline, flops_of, network_cost
from app.scaling.network import Config
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.rules.recommend import recommend
from app.scaling.solver.width_grid import get_width_grid
from worker.networks import build

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)
    from fvcore.nn import FlopCountAnalysis

NETWORKS = (
    "efficientnet_b0",
    "efficientnet_lite0",
    "tinynet_e",
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mnasnet_100",
    "ghostnet_100",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "regnetx_002",
    "regnety_004",
    "convnext_atto",
)
CANDIDATES = 10_000


def time_calls(call: Callable[[], Any], times: int) -> float:
    """Return the median seconds of a call."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def count_with_fvcore(config: Config) -> dict[str, int]:
    """Build the network and return fvcore's flops by operator."""
    image = torch.zeros(1, config.in_chans, *config.sides)
    analysis = FlopCountAnalysis(build(config).eval(), image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return {operator: int(count) for operator, count in analysis.by_operator().items()}


def time_candidates(name: str, rng: np.random.Generator) -> float:
    """Return the seconds for each of many random candidates, whose costs are computed together."""
    grid = get_width_grid(baseline(name))
    multipliers = [rng.uniform(low, high, (3, CANDIDATES)) for low, high in ((0.4, 1.4), (0.3, 1.6), (0.1, 1.5))]
    return min(time_calls(lambda i=i: grid.costs(*(m[i] for m in multipliers)), 1) for i in range(3)) / CANDIDATES


def time_recommendations(name: str, rng: random.Random, n: int) -> list[float]:
    """Return the seconds of each of `n` recommendations, after as many that are not timed."""
    architecture, predictor = baseline(name), published_predictor()
    targets = [round(rng.uniform(0.3, 1.0) * flops_of(architecture)) for _ in range(2 * n)]
    seconds = []
    for target in targets:
        started = time.perf_counter()
        recommend(architecture, target, "tiny_formula", predictor=predictor)
        seconds.append(time.perf_counter() - started)
    return seconds[n:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help="baselines (default: one or two of each family)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="(default: the time)")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"{'':<22}{'analytic':>10}{'fvcore':>9}{'ratio':>9}{'candidate':>11}{'recommend()':>20}")
    print(f"{'':<22}{'ms':>10}{'ms':>9}{'':>9}{'µs each':>11}{'median, mean µs':>20}")
    for name in args.networks:
        config = baseline(name).baseline
        if {k: n for k, n in network_cost(config).by_operator.items() if n} != count_with_fvcore(config):
            print(f"{name}: the analytic cost and fvcore's differ", file=sys.stderr)
            return 1
        analytic = time_calls(lambda c=config: network_cost(c), 300)
        fvcore = time_calls(lambda c=config: count_with_fvcore(c), 3)
        candidate = time_candidates(name, np.random.default_rng(args.seed))
        seconds = time_recommendations(name, random.Random(args.seed), 500)
        print(
            f"{name:<22}{1e3 * analytic:>10.3f}{1e3 * fvcore:>9.0f}{fvcore / analytic:>8,.0f}x{1e6 * candidate:>11.2f}"
            f"{1e6 * statistics.median(seconds):>11.0f}{1e6 * statistics.fmean(seconds):>9.0f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
