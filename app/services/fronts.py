"""What a study's observations say: its front, correlations on it, and how well accuracies were foretold."""

from __future__ import annotations

from dataclasses import dataclass

from app.db.tables import PredictorRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.front import correlations, hypervolume, non_dominated, select_front
from app.scaling.observations import Observation, networks, points
from app.scaling.predictor import Predictor
from app.services import observations

_INSIDE_50, _INSIDE_90 = 0.674, 1.645  # of a normal distribution, in standard deviations
_MOST_CALIBRATED = 1000


@dataclass(frozen=True)
class Front:
    """All of a study's observations, and the networks among those that count which NSGA-III keeps, by rising flops."""

    observations: list[Observation]
    counted: list[Observation]  # one a network, its seeds averaged
    selected: list[Observation]

    @property
    def hypervolume(self) -> float | None:
        """Below the whole front; None where there is none."""
        if not self.selected:
            return None
        worst = (max(o.flops for o in self.counted) * 1.01, 0.0)
        return hypervolume([o.flops for o in self.counted], [o.accuracy for o in self.counted], worst)

    @property
    def dominated(self) -> list[bool]:
        """Of each network selected whether another beats it: such fill up a short front."""
        best = non_dominated([o.flops for o in self.selected], [o.accuracy for o in self.selected])
        return [i not in best for i in range(len(self.selected))]

    def fitted(self) -> Predictor:
        """r(c) and d(c) on the networks selected, the accuracy's surrogate on all that count.

        Raises: NotEnoughObservations.
        """
        return Predictor.fitted(points(self.selected), points(self.counted))


@dataclass(frozen=True)
class Foretold:
    """An accuracy that was predicted before its network was trained, and what came out, both from 0 to 1."""

    trial: str | None
    mean: float
    sd: float
    measured: float


@dataclass(frozen=True)
class Calibration:
    """How often the truth fell inside the bands; None without any."""

    items: list[Foretold]

    @property
    def trials(self) -> int:
        return len(self.items)

    @property
    def inside_50(self) -> float | None:
        return self._inside(_INSIDE_50)

    @property
    def inside_90(self) -> float | None:
        return self._inside(_INSIDE_90)

    def _inside(self, sds: float) -> float | None:
        if not self.items:
            return None
        return sum(abs(one.measured - one.mean) <= sds * one.sd for one in self.items) / len(self.items)


def front(work: UnitOfWork, study: StudyRow, k: int) -> Front:
    """The networks that NSGA-III keeps, at most k."""
    seen = observations.of_study(work, study)
    counted = networks([o for o in seen if o.role not in observations.COMPARED])
    return Front(seen, counted, [counted[i] for i in select_front(counted, k)])


def front_correlations(work: UnitOfWork, study: StudyRow, k: int) -> dict[str, dict[str, object]]:
    """Of r, d and w with FLOPs on the front (the paper's third step)."""
    return correlations(front(work, study, k).selected)


def calibration(work: UnitOfWork, study: StudyRow) -> Calibration:
    """Over the study's trials and suggestions whose accuracy was predicted before they were trained."""
    done = [
        Foretold(trial.id, trial.predicted["mean"], trial.predicted["sd"], (trial.result or {})["accuracy"])
        for trial in work.trials.completed_of_study(study.id)
        if trial.predicted
    ]
    told = [
        Foretold(None, row.predicted["mean"], row.predicted["sd"], (row.told or {})["accuracy"])
        for row in work.suggestions.told(study.id)
        if row.predicted
    ]
    return Calibration([*done, *told])


def calibration_of(work: UnitOfWork, predictor: PredictorRow) -> Calibration:
    """Over the latest trials whose accuracy this version predicted before they were trained."""
    return Calibration(
        [
            Foretold(trial.id, trial.predicted["mean"], trial.predicted["sd"], (trial.result or {})["accuracy"])
            for trial in work.trials.predicted_by(predictor, _MOST_CALIBRATED)
            if trial.predicted
        ]
    )
