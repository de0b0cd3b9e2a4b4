"""How often does the interval of the experiment contain the true difference?

Simulates experiments without a difference between two rules, one that learns from studies and one that all studies
share, and prints the coverage and the median half-width of the 95 % interval that `rdw reproduce` reports, and of a
percentile bootstrap over studies, budgets and seeds. A 95 % interval should contain the truth in 93 to 97 % of a
thousand experiments.
"""

from __future__ import annotations

import argparse

import numpy as np

from app.reproduce.statistics import Noise, bootstrap_mean, estimate_mean, simulate_cells

DESIGNS = ((3, 24, 2), (2, 12, 2), (4, 24, 1))
STUDY_SHIFTS = (0.0, 0.0015, 0.003, 0.005)


def measure_coverage(noise: Noise, design: tuple[int, int, int], experiments: int, seed: int) -> tuple[float, float]:
    """Return the coverage of the 95 % interval and its median half-width."""
    cells = simulate_cells(noise, *design, experiments, np.random.default_rng(seed))
    estimate = estimate_mean(cells.mean(-1))
    half = estimate.half_width()
    return float((np.abs(estimate.mean) <= half).mean()), float(np.median(half))


def measure_bootstrap(noise: Noise, design: tuple[int, int, int], experiments: int, seed: int) -> tuple[float, float]:
    """Return the coverage of the bootstrap's 95 % interval and its median half-width."""
    cells = simulate_cells(noise, *design, experiments, np.random.default_rng(seed))
    intervals = np.array([bootstrap_mean(values, resamples=1000) for values in cells])
    covered = (intervals[:, 0] <= 0) & (intervals[:, 1] >= 0)
    return float(covered.mean()), float(np.median(np.diff(intervals)) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("studies budgets seeds  study shift  coverage  half-width  bootstrap  half-width  (points)")
    for design in DESIGNS:
        for shift in STUDY_SHIFTS:
            noise = Noise(study=shift)
            ours = measure_coverage(noise, design, arguments.experiments, arguments.seed)
            other = measure_bootstrap(noise, design, arguments.experiments, arguments.seed)
            values = "".join(f"  {100 * coverage:6.1f} %  {100 * half:8.2f}" for coverage, half in (ours, other))
            print(f"{design[0]:7} {design[1]:7} {design[2]:5}  {100 * shift:11.2f}{values}", flush=True)


if __name__ == "__main__":
    main()
