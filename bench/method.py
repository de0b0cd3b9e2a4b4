"""How good are the parts of the method? Each is measured on the recorded study, beside simpler comparators.

The recorded study has 100 random networks, trained on typefaces for 9 epochs each with one seed
(`bench/recorded/typefaces.json`). Each row of the table is a function of `ROWS`: it returns what was measured, what the
comparators reach on the same folds, and whether the measurement is within its limit.

    python bench/method.py [--row NAME ...] [--repeats 6]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from app.scaling.network import Architecture
from app.scaling.predictors.learning_curves import LearningCurve, estimate_accuracies
from app.scaling.predictors.point import BuiltPoint
from app.scaling.predictors.surrogate import Surrogate, to_accuracy, to_log_error
from app.scaling.search.asha import RungResult, promotable
from app.scaling.search.front import non_dominated, select_front, smooth
from app.scaling.search.observations import Observation, to_built_points, to_curves

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

RECORDED = Path(__file__).parent / "recorded" / "typefaces.json"
FOLDS = 5
Z_50, Z_90 = 0.6745, 1.645


@dataclass(frozen=True)
class Row:
    """A measurement: its value and those of the comparators, as text, and whether it is within its limit."""

    name: str
    measured: str
    comparators: str
    limit: str
    is_met: bool


@dataclass(frozen=True)
class Recorded:
    """The recorded study, with the folds on which everything is compared."""

    architecture: Architecture
    networks: list[dict[str, Any]]
    epochs: int
    repeats: int

    @classmethod
    def load(cls, file: Path = RECORDED, repeats: int = 6) -> Recorded:
        plain = json.loads(file.read_text())
        networks = plain["networks"]
        return cls(Architecture.from_json(plain["architecture"]), networks, len(networks[0]["epochs"]), repeats)

    @cached_property
    def observations(self) -> list[Observation]:
        """One observation per network, with its learning curve."""
        names = ("r", "d", "w", "c", "flops", "params", "accuracy")
        return [
            Observation(
                **{name: n[name] for name in names},
                trial=str(i),
                curve=(*enumerate(n["epochs"][:-1], 1), (self.epochs, n["accuracy"])),
            )
            for i, n in enumerate(self.networks)
        ]

    @cached_property
    def points(self) -> list[BuiltPoint]:
        return to_built_points(self.architecture, self.observations)

    @cached_property
    def curves(self) -> list[LearningCurve]:
        return to_curves(self.architecture, self.observations)

    @cached_property
    def features(self) -> Array:
        return np.array([point.features for point in self.points])

    @cached_property
    def typed(self) -> Array:
        """The networks by their multipliers, (log c, r, d)."""
        return np.array([[np.log(o.c), o.r, o.d] for o in self.observations])

    @cached_property
    def accuracy(self) -> Array:
        return np.array([o.accuracy for o in self.observations])

    def folds(self) -> Iterator[tuple[Indices, Indices]]:
        """Yield training and held-out networks: five folds, as often as there are repeats."""
        for repeat in range(self.repeats):
            order = np.random.default_rng(repeat).permutation(len(self.networks))
            for held_out in np.array_split(order, FOLDS):
                yield np.setdiff1d(order, held_out), held_out

    def subsets(self, n: int) -> Iterator[tuple[Indices, Indices]]:
        """Yield `n` random networks to train on and the others, five times as often as there are repeats."""
        for repeat in range(FOLDS * self.repeats):
            order = np.random.default_rng(1000 + repeat).permutation(len(self.networks))
            yield order[:n], order[n:]


Predictions = tuple[Array, Array | None]  # means and standard deviations
Model = Callable[[Recorded, Indices, Indices], Predictions]


def predict_by_surrogate(recorded: Recorded, known: Indices, held_out: Indices) -> Predictions:
    surrogate = Surrogate.fit([recorded.points[i] for i in known.tolist()])
    return surrogate.predict(recorded.features[held_out])


def predict_by_ridge(recorded: Recorded, known: Indices, held_out: Indices) -> Predictions:
    """Predict by a quadratic ridge on the surrogate's features and target; the penalty is cross-validated."""
    model = make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), RidgeCV(alphas=np.logspace(-4, 2, 13))
    )
    model.fit(recorded.features[known], to_log_error(recorded.accuracy[known]))
    return to_accuracy(model.predict(recorded.features[held_out])), None


def predict_by_line(recorded: Recorded, known: Indices, held_out: Indices) -> Predictions:
    """Predict by a straight line in the multipliers."""
    model = LinearRegression().fit(recorded.typed[known], recorded.accuracy[known])
    return model.predict(recorded.typed[held_out]), None


def predict_from_curves(epoch: int) -> Model:
    def predict(recorded: Recorded, known: Indices, held_out: Indices) -> Predictions:
        stopped = [_stop(recorded.curves[i], epoch) for i in held_out.tolist()]
        complete = [recorded.curves[i] for i in known.tolist()]
        estimates = [p for p in estimate_accuracies([*complete, *stopped], recorded.epochs)[len(known) :] if p]
        mean = np.array([p.accuracy for p in estimates], float)
        return mean, (1 - mean) * np.sqrt([p.variance for p in estimates])

    return predict


def predict_by_ridge_with_curve(epoch: int) -> Model:
    """Predict by the quadratic ridge with the accuracy after an epoch as another, linear input."""

    def predict(recorded: Recorded, known: Indices, held_out: Indices) -> Predictions:
        squares = PolynomialFeatures(2, include_bias=False).fit_transform(
            StandardScaler().fit_transform(recorded.features)
        )
        reached = to_log_error(np.array([n["epochs"][epoch - 1] for n in recorded.networks]))
        x = np.column_stack([squares, (reached - reached.mean()) / reached.std()])
        model = RidgeCV(alphas=np.logspace(-4, 2, 13)).fit(x[known], to_log_error(recorded.accuracy[known]))
        return to_accuracy(model.predict(x[held_out])), None

    return predict


def _stop(curve: LearningCurve, epoch: int) -> LearningCurve:
    return replace(curve, accuracies={e: a for e, a in curve.accuracies.items() if e <= epoch})


def measure_rmse(recorded: Recorded, model: Model, splits: Iterator[tuple[Indices, Indices]]) -> float:
    return float(np.sqrt(np.mean(np.square(measure_errors(recorded, model, splits)[0]))))


def measure_errors(recorded: Recorded, model: Model, splits: Iterator[tuple[Indices, Indices]]) -> tuple[Array, Array]:
    """Return the errors of the held-out networks, and the errors in standard deviations (empty without)."""
    errors, relative = list[Array](), list[Array]()
    for known, held_out in splits:
        mean, sd = model(recorded, known, held_out)
        errors.append(mean - recorded.accuracy[held_out])
        if sd is not None:
            relative.append(errors[-1] / sd)
    return np.concatenate(errors), np.concatenate(relative) if relative else np.zeros(0)


def surrogate_error(recorded: Recorded) -> Row:
    rmse = measure_rmse(recorded, predict_by_surrogate, recorded.folds())
    ridge = measure_rmse(recorded, predict_by_ridge, recorded.folds())
    line = measure_rmse(recorded, predict_by_line, recorded.folds())
    others = f"quadratic ridge {ridge:.4f}, line {line:.4f}"
    return Row("surrogate: RMSE, 5 folds", f"{rmse:.4f}", others, "≤ .019", rmse <= 0.019)


def surrogate_with(n: int) -> Callable[[Recorded], Row]:
    def measure(recorded: Recorded) -> Row:
        rmse = measure_rmse(recorded, predict_by_surrogate, recorded.subsets(n))
        line = measure_rmse(recorded, predict_by_line, recorded.subsets(n))
        ridge = measure_rmse(recorded, predict_by_ridge, recorded.subsets(n))
        others = f"line {line:.4f}, quadratic ridge {ridge:.4f}"
        return Row(f"surrogate: RMSE from {n} networks", f"{rmse:.4f}", others, "≤ the line", rmse <= line)

    return measure


def surrogate_bands(n: int) -> Callable[[Recorded], Row]:
    def measure(recorded: Recorded) -> Row:
        _, relative = measure_errors(recorded, predict_by_surrogate, recorded.subsets(n))
        half, most = (float((np.abs(relative) <= z).mean()) for z in (Z_50, Z_90))
        is_met = 0.45 <= half <= 0.55 and 0.85 <= most <= 0.95
        limit = ".45 to .55, .85 to .95"
        return Row(f"surrogate: 50, 90 % bands, {n} networks", f"{half:.3f}, {most:.3f}", ".5, .9", limit, is_met)

    return measure


def one_network_one_prediction(recorded: Recorded) -> Row:
    """Predict one network, written with depths of .30, .36 and .49, which the multipliers alone told apart."""
    surrogate = Surrogate.fit([*recorded.points])
    first = recorded.observations[0]
    same = [replace(first, r=0.75, d=d, w=0.8, c=0.2) for d in (0.30, 0.36, 0.49)]
    features = np.array([point.features for point in to_built_points(recorded.architecture, same)])
    spread = float(np.ptp(surrogate.predict(features)[0]))
    by_multipliers = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), LinearRegression())
    by_multipliers.fit(recorded.typed, recorded.accuracy)
    other = float(np.ptp(by_multipliers.predict([[np.log(o.c), o.r, o.d] for o in same])))
    comparator = f"quadratic in the multipliers {other:.4f}"
    return Row("surrogate: spread for one network", f"{spread:.4f}", comparator, "0", spread < 1e-12)


def learning_curves(recorded: Recorded) -> Row:
    rmse = measure_rmse(recorded, predict_from_curves(3), recorded.folds())
    ridge = measure_rmse(recorded, predict_by_ridge_with_curve(3), recorded.folds())
    without = measure_rmse(recorded, predict_by_surrogate, recorded.folds())
    others = f"ridge with that accuracy {ridge:.4f}, surrogate without {without:.4f}"
    return Row("learning curves: RMSE, 3 of 9 epochs", f"{rmse:.4f}", others, "≤ .015", rmse <= 0.015)


def front_margin(recorded: Recorded) -> Row:
    """Look for networks of the front that another one beats by 10 points for at most 1 % more multiply-adds."""
    flops = [o.flops for o in recorded.observations]
    smoothed = smooth(recorded.architecture, recorded.observations)
    bare = set(non_dominated(flops, recorded.accuracy.tolist(), noise=1.0))
    front = select_front(recorded.observations, k=20, min_size=1, smoothed=smoothed)

    def waste(indices: list[int]) -> int:
        cost, accuracy = np.array(flops), recorded.accuracy
        return sum(bool(((cost <= 1.01 * cost[i]) & (accuracy > accuracy[i] + 0.1)).any()) for i in indices)

    found, before = waste(front), waste(sorted(bare))
    return Row("front: kept for under 1 % of cost", f"{found}", f"without margins {before}", "0", found == 0)


def halving_cheapest(recorded: Recorded) -> Row:
    """Count rungs at which the cheapest network, were its accuracy .01, would continue: of 50 random rungs."""
    promoted = 0
    for seed in range(50):
        chosen = np.random.default_rng(seed).permutation(len(recorded.networks))[: 9 + seed // 2].tolist()
        cheapest = min(chosen, key=lambda i: recorded.observations[i].flops)
        reached = {i: recorded.networks[i]["epochs"][0] for i in chosen} | {cheapest: 0.01}
        results = [RungResult(str(i), recorded.observations[i].flops, reached[i]) for i in chosen]
        promoted += str(cheapest) in promotable(results, frozenset(), eta=3)
    return Row(
        "halving: cheapest, at .01, promoted",
        f"{promoted} of 50",
        "an infinite area for both ends: 50",
        "0",
        promoted == 0,
    )


ROWS: dict[str, Callable[[Recorded], Row]] = {
    "surrogate": surrogate_error,
    **{f"surrogate-{n}": surrogate_with(n) for n in (20, 40, 80)},
    **{f"bands-{n}": surrogate_bands(n) for n in (20, 40, 80)},
    "one-network": one_network_one_prediction,
    "curves": learning_curves,
    "front": front_margin,
    "halving": halving_cheapest,
}
"""The rows of the table by name; each is measured independently."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", nargs="+", choices=ROWS, default=[*ROWS], help="(default: all)")
    parser.add_argument("--repeats", type=int, default=6, help="of the five folds (default: %(default)s)")
    args = parser.parse_args()
    recorded = Recorded.load(repeats=args.repeats)
    print(f"{'':<40}{'measured':<16}{'limit':<26}{'':<6}comparators")
    failed = []
    for name in args.row:
        started = time.monotonic()
        row = ROWS[name](recorded)
        failed += [] if row.is_met else [name]
        verdict = "ok" if row.is_met else "MISS"
        seconds = f"({time.monotonic() - started:.0f} s)"
        print(f"{row.name:<40}{row.measured:<16}{row.limit:<26}{verdict:<6}{row.comparators} {seconds}", flush=True)
    if failed:
        raise SystemExit(f"Not within their limits: {', '.join(failed)}")


if __name__ == "__main__":
    main()
