"""The networks that regressions are fitted on, and the quality of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Z_50, _Z_90 = 0.6745, 1.645  # standard deviations


@dataclass(frozen=True)
class Point:
    """A network: its flops ratio c and multipliers, and the `accuracy` (0 to 1) that it reached."""

    c: float
    r: float
    d: float
    w: float
    accuracy: float | None = None
    name: str | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the accuracy is finite and no estimate."""
        return self.accuracy is not None and isfinite(self.accuracy)


@dataclass(frozen=True)
class BuiltPoint(Point):
    """A network with its `features` (`network_features`), by which the surrogate compares networks.

    If the accuracy is an estimate, `variance` is that of the estimated -log(1 - accuracy).
    """

    features: tuple[float, ...] = ()
    variance: float = 0.0

    @property
    def is_measured(self) -> bool:
        return super().is_measured and not self.variance

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> BuiltPoint:
        return cls(**{**plain, "features": tuple(plain["features"])})


@dataclass(frozen=True)
class Quality:
    """The leave-one-out quality of a fit: root mean square error, and the shares within the 90 % and 50 % bands."""

    rmse: float
    coverage_90: float
    coverage_50: float

    @classmethod
    def measure(cls, y: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64]) -> Quality:
        """Compare values [point] with their predictions from the other points, as means and standard deviations."""
        errors = np.abs(y - mean)
        return cls(
            float(np.sqrt((errors**2).mean())),
            float((errors <= _Z_90 * sd).mean()),
            float((errors <= _Z_50 * sd).mean()),
        )


@dataclass(frozen=True)
class Skill:
    """How much better left-out values are predicted than by a simpler model, usually a constant.

    `explained` is the share of the simpler model's squared error that is avoided; `required` is the share that chance
    alone rarely reaches.
    """

    networks: int
    explained: float
    required: float
    proven: bool
