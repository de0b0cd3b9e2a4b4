"""How long costs take, beside building the network and counting with fvcore; side by side, in one run.

For one baseline of each family: milliseconds of the analytic cost of its config and of fvcore's flops of the built
network (both give the same numbers, which is checked), their ratio, microseconds for each of 10,000 random candidates
costed together, and for a whole `recommend()` with targets never seen before.
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

from app.scaling.architecture import Config
from app.scaling.cost_table import cost_table
from app.scaling.families import baseline, network_cost
from app.scaling.published import published_predictor
from app.scaling.recommend import flops_of, recommend
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


def seconds(call: Callable[[], Any], times: int) -> float:
    """The median of `times` calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def counted(config: Config) -> dict[str, int]:
    """fvcore's flops by operator of the network, built."""
    image = torch.zeros(1, config.in_chans, config.resolution, config.resolution)
    analysis = FlopCountAnalysis(build(config).eval(), image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return {operator: int(count) for operator, count in analysis.by_operator().items()}


def candidates(name: str, rng: np.random.Generator) -> float:
    """Seconds for each of many random candidates, costed together."""
    table = cost_table(baseline(name))
    draw = [rng.uniform(low, high, (3, CANDIDATES)) for low, high in ((0.4, 1.4), (0.3, 1.6), (0.1, 1.5))]
    return min(seconds(lambda i=i: table.costs(draw[0][i], draw[1][i], draw[2][i]), 1) for i in range(3)) / CANDIDATES


def recommendations(name: str, rng: random.Random, n: int) -> list[float]:
    """Seconds of each of `n` answers, after as many that came before."""
    architecture, predictor = baseline(name), published_predictor()
    targets = [round(rng.uniform(0.3, 1.0) * flops_of(architecture)) for _ in range(2 * n)]
    taken = []
    for target in targets:
        began = time.perf_counter()
        recommend(architecture, target, "tiny_formula", predictor=predictor)
        taken.append(time.perf_counter() - began)
    return taken[n:]


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
        if {k: n for k, n in network_cost(config).by_operator.items() if n} != counted(config):
            print(f"{name}: the analytic cost and fvcore's differ", file=sys.stderr)
            return 1
        analytic, fvcore = seconds(lambda c=config: network_cost(c), 300), seconds(lambda c=config: counted(c), 3)
        each = candidates(name, np.random.default_rng(args.seed))
        taken = recommendations(name, random.Random(args.seed), 500)
        print(
            f"{name:<22}{1e3 * analytic:>10.3f}{1e3 * fvcore:>9.0f}{fvcore / analytic:>8,.0f}x{1e6 * each:>11.2f}"
            f"{1e6 * statistics.median(taken):>11.0f}{1e6 * statistics.fmean(taken):>9.0f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
