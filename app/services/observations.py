"""Observations: the measured accuracy and cost of a network, from a trial, a client's report or an import.

Only this module creates observations: as rows, and as the values that samplers and fits work on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Conflict, InvalidRequest, NotFound, require_found
from app.core.studies import ReportedResult
from app.core.trials import TrainingProgress, TrialResult
from app.db.bulk_insert import PreparedRows
from app.db.repositories.observations import StudyObservation
from app.db.tables import ObservationRow, StudyRow, SuggestionRow, TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.bounded_cache import BoundedCache
from app.scaling.families import flops_of
from app.scaling.input_sizes import scale_resolution
from app.scaling.network import Architecture, Multipliers
from app.scaling.resolution import Resolution, describe_resolution, to_resolution
from app.scaling.search.observations import Observation, Role
from app.scaling.solver.width_grid import MAX_WIDTH, WidthGrid, get_width_grid
from app.services.auth import quotas
from app.services.auth.ownership import require_admin, require_owner, require_unshared

_IMPORTED_COLUMNS = (
    "r", "d", "w", "accuracy", "seconds", "latency_ms", "role", "retracted_at", "retraction_reason",
)  # fmt: skip
_MAX_IMPORT_ATTEMPTS = 8
_MAX_WIDE_NETWORKS = 1000


@dataclass(frozen=True)
class TrainedNetwork:
    """The network of an observation; a config without a baseline has neither multipliers nor a ratio."""

    multipliers: Multipliers | None
    ratio: float | None
    resolution: Resolution
    flops: int
    params: int

    @classmethod
    def scaled(cls, architecture: Architecture, multipliers: Multipliers) -> TrainedNetwork:
        """Return the architecture scaled by these multipliers.

        Raises: InvalidNetwork.
        """
        config = architecture.scale(multipliers)
        families.check(config)
        cost = families.network_cost(config)
        return cls(multipliers, cost.flops / flops_of(architecture), config.resolution, cost.flops, cost.params)

    @classmethod
    def suggested(cls, row: SuggestionRow) -> TrainedNetwork:
        return cls(Multipliers(row.r, row.d, row.w), row.ratio, row.config.resolution, row.flops, row.params)


def create_from_trial(trial: TrialRow, result: TrialResult) -> ObservationRow:
    """Create the observation of a completed trial."""
    multipliers = None if trial.multipliers is None else Multipliers.from_json(trial.multipliers)
    latency = result.latency
    return _row(
        TrainedNetwork(multipliers, trial.ratio, to_resolution(trial.config["resolution"]), trial.flops, trial.params),
        trial_id=trial.id,
        architecture=trial.architecture,
        dataset=trial.dataset,
        accuracy=result.accuracy,
        seconds=result.seconds,
        latency_ms=latency.median_ms if latency else None,
        provenance={
            "source": "trial",
            "trial": trial.id,
            "dataset_digest": trial.dataset_digest,
            "recipe": trial.recipe,
            "seed": trial.seed,
            "environment": result.environment,
            "latency": asdict(latency) if latency else None,
        },
    )


def create_from_report(
    study: StudyRow, network: TrainedNetwork, report: ReportedResult, provenance: dict[str, Any]
) -> ObservationRow:
    """Create the observation of a network whose accuracy a client reported."""
    return _row(
        network,
        study_id=study.id,
        architecture=study.architecture,
        dataset=study.dataset,
        accuracy=report.accuracy,
        seconds=report.seconds,
        latency_ms=report.latency_ms,
        role=Role.REPORTED,
        provenance={**provenance, "metrics": report.metrics or {}},
    )


def _row(network: TrainedNetwork, **values: Any) -> ObservationRow:
    multipliers = network.multipliers
    return ObservationRow(
        r=multipliers and multipliers.r,
        d=multipliers and multipliers.d,
        w=multipliers and multipliers.w,
        ratio=network.ratio,
        resolution=network.resolution,
        flops=network.flops,
        params=network.params,
        **values,
    )


def from_stored(row: Any) -> Observation:
    """Convert a stored observation for samplers and fits."""
    return Observation(
        row.r, row.d, row.w, row.ratio, row.flops, row.params, row.accuracy, row.trial_id, row.latency_ms,
        row.role or Role.IMPORT,
    )  # fmt: skip


def from_trial(trial: Any, has_curve: bool) -> Observation:
    """Convert a trial, with the accuracies after its epochs so far if `has_curve`."""
    curve = {rung.epoch: rung.accuracy for rung in trial.rungs or ()} if has_curve else {}
    progress = trial.progress
    if has_curve and isinstance(progress, TrainingProgress) and progress.validation_accuracy is not None:
        curve[progress.epoch] = progress.validation_accuracy
    return Observation(
        trial.r, trial.d, trial.w, trial.ratio, trial.flops, trial.params, nan, trial.id, curve=tuple(curve.items())
    )


def from_suggestion(row: Any) -> Observation:
    """Convert a suggestion without a final result, with the interim results so far."""
    curve = tuple((result.epoch, result.accuracy) for result in row.interim or ())
    return Observation(row.r, row.d, row.w, row.ratio, row.flops, row.params, nan, curve=curve)


@dataclass(frozen=True)
class _CachedObservations:
    """The observations of a study: their version, last id, and the count and sum of their ids (`tally`)."""

    version: int
    last: int
    tally: tuple[int, int]
    observations: list[Observation]


_BYTES_PER_OBSERVATION = 600
_cache: BoundedCache[tuple[str, str], _CachedObservations] = BoundedCache(
    "observations", lambda cached: _BYTES_PER_OBSERVATION * (1 + len(cached.observations))
)


def load_for_study(work: UnitOfWork, study: StudyRow) -> list[Observation]:
    """Return all valid observations with multipliers, ordered by id.

    They are cached until the study changes; if observations were only added, only the new ones are read.
    """
    key = work.database, study.id
    before, version = _cache.get(key), work.studies.version(study.id)
    if before is not None and before.version == version:
        return before.observations
    cached = None if before is None else _append_new(work, study.id, version, before)
    if cached is None:
        cached = _read(work, study.id, version, _CachedObservations(version, 0, (0, 0), []))
    _cache.put(key, cached)
    return cached.observations


def _append_new(
    work: UnitOfWork, study_id: str, version: int, before: _CachedObservations
) -> _CachedObservations | None:
    """Append new observations to the cached ones; None if an earlier one was retracted or became valid."""
    after = _read(work, study_id, version, before)
    return after if after.tally == work.observations.tally(study_id) else None


def _read(work: UnitOfWork, study_id: str, version: int, before: _CachedObservations) -> _CachedObservations:
    rows = work.observations.valid_of_study(study_id, before.last)
    count, total = before.tally
    tally = (count + len(rows), total + sum(row.id for row in rows))
    last = rows[-1].id if rows else before.last
    return _CachedObservations(version, last, tally, [*before.observations, *map(from_stored, rows)])


@dataclass(frozen=True)
class ImportedResult:
    """An imported result: multipliers and accuracy (0 to 1); it may have been retracted in the study it comes from."""

    r: float
    d: float
    w: float
    accuracy: float
    seconds: float | None = None
    latency_ms: float | None = None
    role: Role = Role.IMPORT
    retracted_at: datetime | None = None
    retraction_reason: str | None = None

    @property
    def content(self) -> tuple[float | None, ...]:
        """The values by which an existing observation is recognized."""
        return self.r, self.d, self.w, self.accuracy, self.seconds, self.latency_ms


def import_results(
    open_read: Callable[[], UnitOfWork],
    open_write: Callable[[], UnitOfWork],
    study_id: str,
    results: list[ImportedResult],
    source: str,
) -> int:
    """Import results, except those that the study has already; return how many were added.

    The rows are prepared outside of the transaction that stores them, and again if the study has changed meanwhile.
    Raises: NotFound; NotOwner; InvalidRequest if an input is too small for the network; Conflict if the study changes
    each time; QuotaExceeded.
    """
    for _ in range(_MAX_IMPORT_ATTEMPTS):
        with open_read() as work:
            study = require_owner(work.caller, require_found(work.studies.get(study_id), "study", study_id))
            version = work.studies.version(study_id)
            counts = Counter(work.observations.contents_of_study(study_id))
            new = _drop_existing(results, counts)
            work.release()
            prepared = _prepare_import(work, study, new, source) if new else None
        with open_write() as work:
            if (before := work.recorded_outcome()) is not None:
                return int(before)
            require_found(work.studies.lock(study_id), "study", study_id)
            if work.studies.version(study_id) != version:
                continue
            if prepared is not None:
                work.observations.add_many(prepared)
                quotas.check_observations(work)
                work.studies.record_change(study_id)
            work.record_outcome(len(new))
            work.commit()
            return len(new)
    raise Conflict("Other observations of the study were added each time: import again in a moment.")


def _drop_existing(results: list[ImportedResult], existing: Counter[tuple[float | None, ...]]) -> list[ImportedResult]:
    """Return the results that do not exist yet; equal results are counted."""
    new = []
    for result in results:
        if existing[result.content] > 0:
            existing[result.content] -= 1
        else:
            new.append(result)
    return new


def _prepare_import(work: UnitOfWork, study: StudyRow, imported: list[ImportedResult], source: str) -> PreparedRows:
    """Compute the costs of imported results and encode their rows, so that the transaction that inserts them is short.

    Raises: InvalidRequest if an input is too small for the network.
    """
    baseline_flops, table = flops_of(study.spec), get_width_grid(study.spec)
    multipliers = np.array([[result.r, result.d, result.w] for result in imported])
    distinct, inverse = np.unique(multipliers, axis=0, return_inverse=True)
    _check_widths(distinct)
    sizes, flops, params = (column[inverse.ravel()].tolist() for column in table.costs(*distinct.T))
    resolutions = [scale_resolution(study.spec.baseline.resolution, result.r) for result in imported]
    _check_inputs(sizes, resolutions, table)
    each: dict[str, list[Any]] = {name: [getattr(result, name) for result in imported] for name in _IMPORTED_COLUMNS}
    each |= {
        "ratio": [cost / baseline_flops for cost in flops],
        "resolution": resolutions,
        "flops": [int(cost) for cost in flops],
        "params": [int(size) for size in params],
    }
    shared = {
        "study_id": study.id,
        "architecture": study.architecture,
        "dataset": study.dataset,
        "provenance": {"source": source},
        "created_at": utc_now(),
    }
    return work.observations.prepare(each, shared)


def _check_widths(multipliers: NDArray[np.float64]) -> None:
    """Check that few networks are wider than the grid of costs, since these are computed one by one.

    Raises: InvalidRequest.
    """
    wide = int((multipliers[:, 2] > MAX_WIDTH).sum())
    if wide > _MAX_WIDE_NETWORKS:
        raise InvalidRequest(
            "/observations",
            f"{wide:,} networks have w above {MAX_WIDTH:g}; import at most {_MAX_WIDE_NETWORKS:,} of them at once",
        )


def _check_inputs(sizes: list[int], resolutions: list[Resolution], table: WidthGrid) -> None:
    for index, (size, resolution) in enumerate(zip(sizes, resolutions, strict=True)):
        if size < table.min_resolution:
            px, min_px = map(describe_resolution, (resolution, table.sizes.resolution(table.min_resolution)))
            raise InvalidRequest(
                f"/observations/{index}/r", f"{px} px are too small: the network needs at least {min_px} px"
            )


def retract(work: UnitOfWork, study: StudyRow, observation_id: int, reason: str) -> StudyObservation:
    """Retract an observation: it stays readable, with the reason, but every study ignores it from now on.

    Raises: NotFound; Conflict if it was retracted before for another reason; NotOwner or Forbidden if it is of another
    key's trial, or the predictor of one of its studies may become active by itself.
    """
    observation = next(iter(work.observations.of_study(study.id, after=observation_id - 1, limit=1)), None)
    if observation is None or observation.row.id != observation_id:
        raise NotFound("observation", str(observation_id))
    row = observation.row
    if row.retracted_at is not None:
        if row.retraction_reason != reason:
            raise Conflict(f"The observation was retracted before: {row.retraction_reason}")
        return observation
    trial = None if row.trial_id is None else work.trials.get(row.trial_id)
    if trial is not None:
        require_owner(work.caller, trial)
        require_unshared(work.caller, trial)
    row.retracted_at, row.retraction_reason = utc_now(), reason
    why = f"Observation {row.id} was retracted: {reason}"
    for affected in work.studies.of_observation(row):
        if affected.options.refit.promote:  # the refit that follows is compared with no other version
            require_admin(work.caller, "Retracting an observation of a study whose predictors answer everybody")
        affected.refit_reason = why
        work.studies.record_change(affected.id)
    work.commit()
    return observation
