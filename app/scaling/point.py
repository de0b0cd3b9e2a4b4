"""A network as a regression sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WITHIN_50, _WITHIN_90 = 0.6745, 1.645  # standard deviations


@dataclass(frozen=True)
class Point:
    """A network: flops ratio c and the multipliers that reached `accuracy` (0 to 1) there."""

    c: float
    r: float
    d: float
    w: float
    accuracy: float | None = None
    name: str | None = None


@dataclass(frozen=True)
class Quality:
    """Leave-one-out over the points: root mean square error, and the share of them within the 90 % and 50 % bands."""

    rmse: float
    coverage_90: float
    coverage_50: float

    @classmethod
    def of(cls, y: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64]) -> Quality:
        """Of values [point] and what the other points say of each, mean and standard deviation."""
        errors = np.abs(y - mean)
        return cls(
            float(np.sqrt((errors**2).mean())),
            float((errors <= _WITHIN_90 * sd).mean()),
            float((errors <= _WITHIN_50 * sd).mean()),
        )
