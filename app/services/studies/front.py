"""A study's front, the correlations on it, and the calibration of predicted accuracies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.db.tables import PredictorRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.bounded_cache import BoundedCache
from app.scaling.predictors.point import BuiltPoint
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.published_tinynets import are_published
from app.scaling.search.front import Smoothed, correlations, hypervolume, non_dominated, select_front, smooth
from app.scaling.search.observations import Observation, average_repeats, to_points
from app.services import observations

_HALF_WIDTH_50, _HALF_WIDTH_90 = 0.674, 1.645  # of a normal distribution, in standard deviations
_MAX_CALIBRATION = 1000  # trials, and suggestions


@dataclass(frozen=True)
class Front:
    """A study's observations and the networks among them that NSGA-III selects, by increasing flops."""

    observations: list[Observation]
    counted: list[Observation]  # one per network, averaged over seeds
    smoothed: Smoothed  # of those counted
    indices: list[int]  # of those selected, among those counted

    @property
    def selected(self) -> list[Observation]:
        return [self.counted[i] for i in self.indices]

    @property
    def hypervolume(self) -> float | None:
        """The hypervolume of the whole front; None if it has no networks."""
        if not self.selected:
            return None
        worst = (max(o.flops for o in self.counted) * 1.01, 0.0)
        return hypervolume([o.flops for o in self.counted], [o.accuracy for o in self.counted], worst)

    @property
    def dominated(self) -> list[bool]:
        """Whether each selected network is dominated; such networks fill up a short front."""
        accuracies = [self.smoothed.accuracy[i] for i in self.indices]
        best = non_dominated([o.flops for o in self.selected], accuracies, self.smoothed.noise)
        return [i not in best for i in range(len(self.selected))]

    @property
    def point_trials(self) -> list[str | None]:
        """The trial of each point that `fit_predictor` fits on; None for a network that was trained elsewhere."""
        return [o.trial for o in average_repeats(self.selected)]

    def fit_predictor(self, evidence: list[BuiltPoint]) -> Predictor:
        """Fit r(c) and d(c) on the selected networks, and the accuracy surrogate on the evidence of all trainings.

        Raises: NotEnoughObservations.
        """
        points = to_points(self.selected)
        return Predictor.fit(points, [*evidence], are_exact=are_published(points))


@dataclass(frozen=True)
class PredictionOutcome:
    """An accuracy predicted before training and the measured accuracy, both from 0 to 1."""

    trial: str | None
    mean: float
    sd: float
    measured: float


@dataclass(frozen=True)
class Calibration:
    """How often measured accuracies lie within the predicted intervals."""

    items: list[PredictionOutcome]

    @property
    def trials(self) -> int:
        return len(self.items)

    @property
    def coverage_50(self) -> float | None:
        return self._coverage(_HALF_WIDTH_50)

    @property
    def coverage_90(self) -> float | None:
        return self._coverage(_HALF_WIDTH_90)

    def _coverage(self, sds: float) -> float | None:
        """Return the share of networks within this number of standard deviations; None without networks."""
        if not self.items:
            return None
        return sum(abs(item.measured - item.mean) <= sds * item.sd for item in self.items) / len(self.items)


def compute_front(work: UnitOfWork, study: StudyRow, k: int) -> Front:
    """Select the study's front: at most k networks, by NSGA-III."""
    return select(observations.load_for_study(work, study), k, partial(_smooth, work, study))


def select(observed: list[Observation], k: int, smooth: Callable[[list[Observation]], Smoothed]) -> Front:
    """Select the front of observations; `smooth` is called with one per network that counts."""
    counted = average_repeats([o for o in observed if o.role.counts])
    smoothed = smooth(counted)
    return Front(observed, counted, smoothed, select_front(counted, k, smoothed=smoothed))


_smoothed: BoundedCache[tuple[str, str, int], Smoothed] = BoundedCache(
    "smoothed_accuracies", lambda smoothed: 32 * len(smoothed.accuracy) + 200
)  # by database, study and content


def _smooth(work: UnitOfWork, study: StudyRow, counted: list[Observation]) -> Smoothed:
    """Return the smoothed accuracies from a cache, since a surrogate takes a tenth of a second."""
    content = hash(tuple((o.r, o.d, o.w, o.flops, o.accuracy) for o in counted))
    return _smoothed.get_or_compute((work.database, study.id, content), lambda: smooth(study.spec, counted))


@dataclass(frozen=True)
class FrontSummary:
    """The selected networks of a front, by increasing flops, whether each is dominated, and the hypervolume."""

    selected: list[Observation]
    dominated: list[bool]
    hypervolume: float | None


def summarize_front(work: UnitOfWork, study: StudyRow, k: int) -> FrontSummary:
    """Select the study's front, and measure it."""
    front = compute_front(work, study, k)
    return FrontSummary(front.selected, front.dominated, front.hypervolume)


def compute_correlations(
    work: UnitOfWork, study: StudyRow, k: int
) -> dict[str, dict[str, float | tuple[float, float] | None]]:
    """Correlate r, d and w with FLOPs on the front (step 3 of the paper)."""
    return correlations(compute_front(work, study, k).selected)


def study_calibration(work: UnitOfWork, study: StudyRow) -> Calibration:
    """Compare predictions and results of the study's latest trials and suggestions."""
    trials = work.trials.outcomes_of_study(study.id, _MAX_CALIBRATION)
    suggestions = work.suggestions.latest_outcomes(study.id, _MAX_CALIBRATION)
    reported = [PredictionOutcome(None, mean, sd, measured) for mean, sd, measured in suggestions]
    return Calibration(_outcomes(trials)[::-1] + reported)


def predictor_calibration(work: UnitOfWork, predictor: PredictorRow) -> Calibration:
    """Compare predictions of this version and results, over its latest trials."""
    return Calibration(_outcomes(work.trials.outcomes_of_predictor(predictor, _MAX_CALIBRATION)))


def _outcomes(trials: Iterable[Any]) -> list[PredictionOutcome]:
    return [PredictionOutcome(trial, mean, sd, measured) for trial, mean, sd, measured in trials]
