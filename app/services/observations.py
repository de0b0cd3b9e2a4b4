"""What a study has seen: observations of its trials and from outside, taken in, taken back, and read as numbers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from app.db.bulk import Bulk
from app.db.tables import ObservationRow, StudyRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, Invalid, NotFound
from app.scaling.architecture import Architecture
from app.scaling.cost_table import cost_table
from app.scaling.observations import Observation
from app.scaling.recommend import flops_of

COMPARED = ("compound", "family")
"""Roles of networks that were trained to compare with: on no front, and in no fit."""

_GIVEN = ("r", "d", "w", "accuracy", "seconds", "latency_ms")
_MOST_KEPT = 8


@dataclass(frozen=True)
class _Seen:
    """What was read of a study lately: up to which id, and what the ids come to."""

    version: int
    last: int
    tally: tuple[int, int]
    found: list[Observation]


_kept: OrderedDict[tuple[str, str], _Seen] = OrderedDict()


@dataclass(frozen=True)
class Imported:
    """A result from outside: multipliers and the accuracy (0 to 1) that they reached."""

    r: float
    d: float
    w: float
    accuracy: float
    seconds: float | None = None
    latency_ms: float | None = None


def of_study(work: UnitOfWork, study: StudyRow) -> list[Observation]:
    """All that counts and has multipliers, in the order in which it came.

    Kept in memory until the study changes; where it has only grown, what is new is read.
    """
    key, version = (str(work.session.get_bind()), study.id), work.studies.version(study.id)
    before = _kept.get(key)
    if before is not None and before.version == version:
        return before.found
    seen = None if before is None else _grown(work, study.id, version, before)
    if seen is None:
        seen = _read(work, study.id, version, _Seen(version, 0, (0, 0), []))
    _kept[key] = seen
    while len(_kept) > _MOST_KEPT:
        _kept.popitem(last=False)
    return seen.found


def _grown(work: UnitOfWork, study_id: str, version: int, before: _Seen) -> _Seen | None:
    """With what has come since; None where something has gone, or was there before and has come to count."""
    after = _read(work, study_id, version, before)
    return after if after.tally == work.observations.tally(study_id) else None


def _read(work: UnitOfWork, study_id: str, version: int, before: _Seen) -> _Seen:
    rows = work.observations.counted(study_id, before.last)
    new = [
        Observation(
            row.r, row.d, row.w, row.ratio, row.flops, row.params, row.accuracy, row.trial_id, row.latency_ms,
            row.role or "import",
        )
        for row in rows
    ]  # fmt: skip
    count, total = before.tally
    tally = (count + len(rows), total + sum(row.id for row in rows))
    return _Seen(version, rows[-1].id if rows else before.last, tally, [*before.found, *new])


def made_ready(work: UnitOfWork, study: StudyRow, imported: list[Imported], source: str) -> Bulk:
    """Results from outside, with what they cost: ready to be brought in, by another transaction, which is then short.

    Raises: Invalid where an input is too small for the network.
    """
    architecture = Architecture.from_json(study.spec)
    whole, table = flops_of(architecture), cost_table(architecture)
    multipliers = np.array([[one.r, one.d, one.w] for one in imported])
    distinct, which = np.unique(multipliers, axis=0, return_inverse=True)
    resolutions, flops, params = (column[which.ravel()].tolist() for column in table.costs(*distinct.T))
    _check_inputs(resolutions, table.least_resolution)
    each = {name: [getattr(one, name) for one in imported] for name in _GIVEN}
    each |= {
        "ratio": [cost / whole for cost in flops],
        "resolution": resolutions,
        "flops": [int(cost) for cost in flops],
        "params": [int(size) for size in params],
    }
    shared = {
        "study_id": study.id,
        "architecture": study.architecture,
        "dataset": study.dataset,
        "role": "import",
        "provenance": {"source": source},
        "created_at": utc_now(),
    }
    return work.observations.made_ready(each, shared)


def bring_in(work: UnitOfWork, study_id: str, ready: Bulk) -> int:
    """Add what was made ready for the study, all or none; how many."""
    if brought := work.outcome():
        return brought
    work.observations.add_many(ready)
    work.studies.changed(study_id)
    work.keep_outcome(len(ready))
    work.commit()
    return len(ready)


def _check_inputs(resolutions: list[int], least: int) -> None:
    for index, resolution in enumerate(resolutions):
        if resolution < least:
            raise Invalid(f"/observations/{index}/r", f"{resolution} px: the network needs {least} or more")


def retract(work: UnitOfWork, study: StudyRow, observation_id: int, reason: str) -> ObservationRow:
    """Take an observation back: it stays readable, with the reason, and counts no more, in no study.

    Raises: NotFound; Conflict where it was taken back before, for another reason.
    """
    row = work.observations.get(observation_id)
    if row is None or not work.observations.held_by(row, study.id):
        raise NotFound("observation", str(observation_id))
    if row.retracted_at is not None:
        if row.retraction != reason:
            raise Conflict(f"The observation was taken back before: {row.retraction}")
        return row
    row.retracted_at, row.retraction = utc_now(), reason
    why = f"Observation {row.id} was taken back: {reason}"
    for own in work.studies.of_observation(row):
        own.refit_why = why
        work.studies.changed(own.id)
    work.commit()
    return row
