"""Ask and tell: networks for clients that train elsewhere, and what came of them.

A client's name is its claim: asked again it gets what it has not answered yet. No network is suggested twice, to
nobody; what is told after the lease is over is kept all the same, and marked as late.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.db.tables import ObservationRow, StudyRow, SuggestionRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, NotFound
from app.scaling import families
from app.scaling.architecture import Architecture, Multipliers
from app.scaling.recommend import flops_of
from app.services import proposing, studies


@dataclass(frozen=True)
class Told:
    """What came of a training: accuracy (0 to 1) and what else was measured, or why there is none."""

    accuracy: float | None = None
    infeasible: str | None = None
    seconds: float | None = None
    latency_ms: float | None = None
    metrics: dict[str, float] | None = None


def ask(work: UnitOfWork, study_id: str, client: str, n: int, lease_seconds: float) -> list[SuggestionRow]:
    """`n` networks for the client to train: those that it was told to and has not answered, then new ones.

    Their lease begins anew.
    Raises: NotFound; Conflict where the study was cancelled; SpaceTooSmall where there are not so many left.
    """
    study = _open(work, study_id)
    work.studies.lock(study.id)  # who asks twice at once is answered once
    mine = work.suggestions.pending(study.id, client)[:n]
    until = work.suggestions.clock() + lease_seconds
    for row in mine:
        row.lease_expires_at = until
    while len(mine) < n:
        found = proposing.proposals(work, study, n - len(mine))
        rows = _rows(study, client, found, until)
        mine += [row for row in rows if work.suggestions.add_if_new(row)]
    work.commit()
    return mine


def tell(work: UnitOfWork, study_id: str, suggestion_id: str, told: Told) -> tuple[SuggestionRow, int | None]:
    """What came of a suggestion, and the id of its observation; again is the same as once.

    Raises: NotFound; Conflict where something else was told before.
    """
    study = studies.find(work, study_id)
    row = work.suggestions.lock(suggestion_id)
    if row is None or row.study_id != study.id:
        raise NotFound("suggestion", suggestion_id)
    plain = {name: value for name, value in asdict(told).items() if value is not None}
    if row.state != "pending":
        before = {name: value for name, value in (row.told or {}).items() if name != "observation"}
        if before != plain:
            raise Conflict(
                "Something else was told of this suggestion before; take the observation back if it is wrong."
            )
        return row, (row.told or {}).get("observation")
    row.late = work.suggestions.clock() > row.lease_expires_at
    row.told_at, row.state, row.reason = utc_now(), "told", told.infeasible
    observation = None
    if told.accuracy is None:
        row.state, row.told = "infeasible", plain
    else:
        provenance = {"source": row.client, "suggestion": row.id, "late": row.late, "metrics": told.metrics or {}}
        observation = _observe(work, study, row, told, row.config["resolution"], provenance)
        row.told = {**plain, "observation": observation}
    work.studies.changed(study.id)
    work.commit()
    return row, observation


def tell_of(work: UnitOfWork, study_id: str, client: str, multipliers: Multipliers, told: Told) -> int:
    """What came of a network that the client chose itself; the id of its observation.

    Raises: NotFound; InvalidNetwork; Conflict where the study was cancelled.
    """
    study = _open(work, study_id)
    if heard := work.outcome():
        return heard
    architecture = Architecture.from_json(study.spec)
    config = architecture.scaled(multipliers)
    families.check(config)
    cost = families.network_cost(config)
    network = _Network(
        multipliers.r, multipliers.d, multipliers.w, cost.flops / flops_of(architecture), cost.flops, cost.params
    )
    provenance = {"source": client, "metrics": told.metrics or {}}
    observation = _observe(work, study, network, told, config.resolution, provenance)
    work.studies.changed(study.id)
    work.keep_outcome(observation)
    work.commit()
    return observation


@dataclass(frozen=True)
class _Network:
    r: float
    d: float
    w: float
    ratio: float
    flops: int
    params: int


def _open(work: UnitOfWork, study_id: str) -> StudyRow:
    study = studies.find(work, study_id)
    if study.state == "cancelled":
        raise Conflict("The study was cancelled; create another one.")
    return study


def _observe(
    work: UnitOfWork,
    study: StudyRow,
    network: SuggestionRow | _Network,
    told: Told,
    resolution: int,
    provenance: dict[str, Any],
) -> int:
    row = ObservationRow(
        study_id=study.id,
        architecture=study.architecture,
        dataset=study.dataset,
        r=network.r,
        d=network.d,
        w=network.w,
        ratio=network.ratio,
        resolution=resolution,
        flops=network.flops,
        params=network.params,
        accuracy=told.accuracy,
        seconds=told.seconds,
        latency_ms=told.latency_ms,
        role="told",
        provenance=provenance,
    )
    work.observations.add(row)
    return row.id


def _rows(study: StudyRow, client: str, found: list[proposing.Proposal], until: float) -> list[SuggestionRow]:
    whole = flops_of(Architecture.from_json(study.spec))
    return [
        SuggestionRow(
            study_id=study.id,
            client=client,
            network=proposing.key_of((network.config.resolution, network.cost.flops, network.cost.params)),
            r=network.multipliers.r,
            d=network.multipliers.d,
            w=network.multipliers.w,
            ratio=network.cost.flops / whole,
            config=network.config.to_json(),
            flops=network.cost.flops,
            params=network.cost.params,
            predicted=one.predicted,
            lease_expires_at=until,
        )
        for one in found
        for network in (one.network,)
    ]
