"""The tiny formula: regressions over the logarithm of the FLOPs ratio.

Two regressions, r(c) and d(c), are fitted on the networks of an accuracy-FLOPs front; c is a network's flops relative
to its baseline's. They are Gaussian processes over log c around a line (`regression`). A third regression, of accuracy
on log c over the same networks, predicts the accuracy of a network on the front.

A predictor is a value: points, weights and hyperparameters are plain data, and a predictor that is rebuilt from them
predicts the same bits.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from app.scaling.errors import NotEnoughObservations
from app.scaling.pickling import SentByFields
from app.scaling.predictors.cross_validation import surrogate_skill
from app.scaling.predictors.point import Point, Quality, Skill
from app.scaling.predictors.regression import PRIORS, Component, Quantity, Regression
from app.scaling.predictors.surrogate import Surrogate

MIN_POINTS = 3  # distinct values of c
_MAX_TESTED = 200  # networks of which the skill of accuracy is tested
_BYTES_PER_POINT = 600


@dataclass(frozen=True)
class Predictor(SentByFields):
    """The regressions r(c), d(c) and accuracy(c), with the points that they were fitted on.

    `surrogate` predicts accuracy from the features of a network. It is fitted on all trained networks, if they suffice.
    `skill` has the results of cross-validation by curve; `accuracy` is tested on all trained networks. It is empty for
    networks that are given rather than sampled.
    """

    points: tuple[Point, ...]
    r: Regression
    d: Regression
    accuracy: Regression | None = None
    surrogate: Surrogate | None = None
    skill: dict[str, Skill] = field(default_factory=dict)

    @classmethod
    def fit(cls, points: list[Point], all_points: list[Point] | None = None, are_exact: bool = False) -> Predictor:
        """Fit on the front's points, and the surrogate on `all_points`, the networks that were trained.

        `are_exact` says that the r and d are given, such as published ones, and not a sample: they need no proof.
        Raises: NotEnoughObservations with fewer than three distinct c.
        """
        distinct = len({round(p.c, 9) for p in points})
        if distinct < MIN_POINTS:
            raise NotEnoughObservations(
                f"A predictor needs networks at {MIN_POINTS} different costs or more; here are {distinct}."
            )
        r, d = _fit_regression("r", points, are_exact), _fit_regression("d", points, are_exact)
        assert r is not None and d is not None
        predictor = cls(tuple(points), r, d, _fit_regression("accuracy", points), _fit_surrogate(all_points or []))
        return predictor if are_exact else replace(predictor, skill=_test_skill(predictor, all_points or []))

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest c of the data, beyond which a prediction is an extrapolation."""
        return min(p.c for p in self.points), max(p.c for p in self.points)

    @property
    def nbytes(self) -> int:
        """The memory in bytes, with the matrices that predictions will cache."""
        sizes = [len(gp.x) for gp in self._regressions().values()]
        surrogate = 0 if self.surrogate is None else len(self.surrogate.points)
        matrices = 3 * sum(n * n for n in sizes) + surrogate**2
        return 8 * matrices + _BYTES_PER_POINT * (len(self.points) + surrogate)

    def quality(self) -> dict[str, Quality]:
        """Return the leave-one-out quality of each regression and, as `surrogate`, of accuracy over all networks."""
        by_name = {name: regression.quality() for name, regression in self._regressions().items()}
        return by_name if self.surrogate is None else {**by_name, "surrogate": self.surrogate.quality()}

    def curve(self, min_c: float, max_c: float, steps: int) -> list[dict[str, float]]:
        """Return each regression's mean and standard deviation at `steps` ratios, evenly spaced over log c."""
        ratios = np.geomspace(min_c, max_c, steps)
        columns = {"c": ratios}
        for name, regression in self._regressions().items():
            columns[name], columns[f"{name}_sd"] = regression.predict(np.log(ratios))
        return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]

    def multiplier(self, name: Literal["r", "d"], log_c: float) -> tuple[float, float | None]:
        """Return r or d at log c with its standard deviation.

        Without proven skill it is that of `dwr` for costs in proportion to d w² r², and has no standard deviation.
        """
        if self.has_skill(name):
            return (self.r if name == "r" else self.d).predict_one(log_c)
        return math.exp(PRIORS[name].slope * log_c), None

    def has_skill(self, curve: str) -> bool:
        """Whether r, d, accuracy or the surrogate has proven skill; given networks need no proof."""
        if curve in self.skill:
            return self.skill[curve].proven
        return curve != "surrogate" and not self.skill

    def to_json(self) -> dict[str, Any]:
        """Return points, hyperparameters with their weights, and the results of the tests as plain data."""
        return {
            "points": [asdict(point) for point in self.points],
            "hyperparameters": {
                name: {
                    "components": [asdict(component) for component in regression.components],
                    "outliers": list(regression.outliers),
                    "min_sd": regression.min_sd,
                }
                for name, regression in self._regressions().items()
            },
            "skill": {name: asdict(skill) for name, skill in self.skill.items()},
            "surrogate": None if self.surrogate is None else self.surrogate.to_json(),
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Predictor:
        """Rebuild a predictor from `to_json`'s plain data.

        Data of earlier releases have other hyperparameters: the regressions are then refitted on their points, and the
        surrogate counts as unproven.
        """
        points = [Point(**point) for point in plain["points"]]
        surrogate = Surrogate.from_json(plain["surrogate"]) if plain.get("surrogate") else None
        if "skill" not in plain:
            return replace(cls.fit(points), surrogate=surrogate)

        def regression(name: Quantity) -> Regression | None:
            fitted = plain["hyperparameters"].get(name)
            if fitted is None:
                return None
            x, y = _curve_points(name, points)
            components = tuple(Component(**component) for component in fitted["components"])
            return Regression(name, x, y, components, tuple(fitted["outliers"]), fitted["min_sd"])

        r, d = regression("r"), regression("d")
        assert r is not None and d is not None
        skill = {name: Skill(**result) for name, result in plain["skill"].items()}
        return cls(tuple(points), r, d, regression("accuracy"), surrogate, skill)

    def _regressions(self) -> dict[str, Regression]:
        regressions = {"r": self.r, "d": self.d, "accuracy": self.accuracy}
        return {name: gp for name, gp in regressions.items() if gp is not None}


def _curve_points(name: Quantity, points: list[Point]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return log c and the values of the points that have one."""
    known = [p for p in points if getattr(p, name) is not None]
    return tuple(float(np.log(p.c)) for p in known), tuple(getattr(p, name) for p in known)


def _fit_regression(name: Quantity, points: list[Point], is_exact: bool = False) -> Regression | None:
    x, y = _curve_points(name, points)
    return Regression.fit(name, x, y, is_exact) if len(x) >= MIN_POINTS else None


def _fit_surrogate(points: list[Point]) -> Surrogate | None:
    try:
        return Surrogate.fit(points)
    except NotEnoughObservations:
        return None


def _test_skill(predictor: Predictor, all_points: list[Point]) -> dict[str, Skill]:
    """Test each curve; accuracy on all networks, as on a front it rises with cost even if it is pure noise."""
    skill = {"r": predictor.r.skill(), "d": predictor.d.skill()}
    measured = sorted((p for p in all_points or predictor.points if p.is_measured), key=lambda p: p.c)
    spread = np.linspace(0, len(measured) - 1, min(len(measured), _MAX_TESTED)).astype(int)
    tested = [measured[i] for i in spread.tolist()]
    accuracy = _fit_regression("accuracy", tested)
    if accuracy is not None and len({p.accuracy for p in tested}) > 1:
        skill["accuracy"] = accuracy.skill()
    if predictor.surrogate is not None and (surrogate := surrogate_skill(all_points)) is not None:
        skill["surrogate"] = surrogate
    return skill
