"""Measures the promotion gate, the curves r(c) and d(c), and the comparators, by simulation.

Run `python bench/method_rules.py`; it takes a few minutes on one core. Each function is a row of docs/benchmarks.md.
"""

from __future__ import annotations

import time

import numpy as np

from app.scaling import families
from app.scaling.families import flops_of
from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.promotion_gate import decide
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.predictors.regression import Regression
from app.scaling.rules.names import SolvedRule
from app.scaling.rules.recommend import recommend
from app.scaling.rules.scaling_curves import CURVES
from app.scaling.solver.width_solver import TargetOutOfRange

REPEATS, NOISE_REPEATS = 100, 300
R_NOISE, D_NOISE, ACCURACY_NOISE = 0.16, 0.136, 0.012  # of the recorded study, outliers aside
COMPARATORS: tuple[SolvedRule, ...] = ("compound", "dwr", "fast")


def noise_promoted(n: int) -> int:
    """Return how many of 300 first predictors are promoted if r and d are noise and accuracy rises with cost."""
    random, promoted = np.random.default_rng(n), 0
    for _ in range(NOISE_REPEATS):
        log_c = random.uniform(-3, 0, n)
        r, d = random.uniform(0.4, 1.2, (2, n))
        promoted += decide(Predictor.fit(_points(log_c, r, d, random)), None).promoted
    return promoted


def true_curves_promoted(n: int) -> int:
    """Return how many of 100 first predictors are promoted if r and d follow power laws, with the recorded noise."""
    random, promoted = np.random.default_rng(n), 0
    for _ in range(REPEATS):
        log_c = random.uniform(-2.8, 0, n)
        r, d = np.exp(log_c / 6) + random.normal(0, R_NOISE, n), np.exp(log_c / 3) + random.normal(0, D_NOISE, n)
        promoted += decide(Predictor.fit(_points(log_c, r.clip(0.1), d.clip(0.1), random)), None).promoted
    return promoted


def coverage(n: int, noise: float) -> float:
    """Return the share of new points inside the 90 % band of r(c), fitted on n points."""
    random, held = np.random.default_rng(n), []
    for _ in range(REPEATS):
        x, new = random.uniform(-3, 0, n), random.uniform(-3, 0, 40)
        y, new_y = (0.9 * np.exp(0.2 * v + random.normal(0, noise, len(v))) for v in (x, new))
        mean, sd = Regression.fit("r", x.tolist(), y.tolist()).predict(new)
        held.append(np.mean(np.abs(new_y - mean) <= 1.645 * sd))
    return float(np.mean(held))


def error_beside_an_outlier() -> tuple[float, float]:
    """Return the largest error of r(c) with one outlier in 12 points, and without it."""
    c = np.geomspace(0.05, 1, 12)
    true = 0.9 * c**0.2
    clean = true * np.exp(np.random.default_rng(0).normal(0, 0.02, 12))
    x, errors = np.log(c).tolist(), []
    for i in range(12):
        y = clean.copy()
        y[i] = 2.0
        errors.append(np.abs(Regression.fit("r", x, y.tolist()).predict(np.log(c))[0] - true).max())
    return float(max(errors)), float(np.abs(Regression.fit("r", x, clean.tolist()).predict(np.log(c))[0] - true).max())


def missed_baselines() -> tuple[int, int]:
    """Return how many (baseline, curve) pairs do not give the baseline at its own cost, and how many there are."""
    pairs = [(baseline, rule) for baseline in families.baselines().values() for rule in CURVES]
    missed = sum(recommend(a, flops_of(a), rule).config != a.baseline for a, rule in pairs)  # type: ignore[arg-type]
    return missed, len(pairs)


def off_curve() -> tuple[float, float]:
    """Return the share of answers that say `off_curve`, and of those that change over 5 % of the blocks."""
    off, moved, n = 0, 0, 0
    for baseline in list(families.baselines().values())[::4]:
        blocks = sum(stage.repeats for stage in baseline.baseline.stages)
        for c in (0.063, 0.134, 0.258, 0.52, 0.873):
            for rule in COMPARATORS:
                try:
                    found = recommend(baseline, round(c * flops_of(baseline)), rule)
                except TargetOutOfRange:
                    continue
                n += 1
                off += any(warning.code == "off_curve" for warning in found.warnings)
                moved += found.displacement is not None and abs(found.displacement.blocks) > blocks / 20
    return off / n, moved / n


def seconds_of_largest_fit() -> float:
    """Return the processor time of a fit at the bounds: 200 networks on the front, 1,000 trained."""
    random = np.random.default_rng(0)
    log_c = random.uniform(-3, 0, 1000)
    points = _points(log_c, *random.uniform(0.4, 1.2, (2, 1000)), random)
    start = time.process_time()
    Predictor.fit(points[:200], points)
    return time.process_time() - start


def _points(log_c: np.ndarray, r: np.ndarray, d: np.ndarray, random: np.random.Generator) -> list[Point]:
    accuracy = 0.79 + 0.04 * log_c + random.normal(0, ACCURACY_NOISE, len(log_c))
    columns = (np.exp(log_c), r, d, np.ones(len(log_c)), accuracy)
    return [Point(*map(float, row)) for row in zip(*columns, strict=True)]


def main() -> None:
    published_predictor()
    for n in (6, 10, 20, 40):
        print(f"noise, {n} points: {noise_promoted(n)} of {NOISE_REPEATS} promoted")
    print(f"true curves, 20 points: {true_curves_promoted(20)} of {REPEATS} promoted")
    for n in (5, 10, 20):
        print(f"90 % band, {n} points: {', '.join(f'{coverage(n, noise):.3f}' for noise in (0.03, 0.1, 0.2))}")
    print("one outlier in 12: largest error {:.3f}, without it {:.3f}".format(*error_beside_an_outlier()))
    print("baselines missed at ratio 1: {} of {}".format(*missed_baselines()))
    print("off the curve {:.1%}, over 5 % of the blocks {:.1%}".format(*off_curve()))
    print(f"largest fit: {seconds_of_largest_fit():.1f} s")


if __name__ == "__main__":
    main()
