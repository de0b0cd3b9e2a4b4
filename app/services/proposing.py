"""What to train next in a study: the active sampler on all that the study knows, whoever trains it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.active import Tuned, propose
from app.scaling.architecture import Architecture
from app.scaling.observations import NetworkKey, Observation
from app.scaling.width_solver import Solution
from app.services import observations, studies

_MOST_KEPT = 64
_tuned: OrderedDict[tuple[str, str], Tuned] = OrderedDict()


@dataclass(frozen=True)
class Known:
    """What a study has had to do with: networks under way, and the keys of all that must not come again."""

    pending: list[Observation]
    taken: frozenset[NetworkKey]


def known(work: UnitOfWork, study: StudyRow) -> Known:
    """Of its trials, in any state, and its suggestions."""
    trials = work.trials.networks_of_study(study.id)
    suggested = work.suggestions.of_study(study.id)
    pending = [
        Observation(t.multipliers["r"], t.multipliers["d"], t.multipliers["w"], t.ratio, t.flops, t.params, 0.0, t.id)
        for t in trials
        if t.state in ("queued", "running") and t.multipliers and t.ratio
    ]
    pending += [Observation(s.r, s.d, s.w, s.ratio, s.flops, s.params, 0.0) for s in suggested if s.state == "pending"]
    keys = {(t.resolution, t.flops, t.params) for t in trials} | {_key(s.network) for s in suggested}
    return Known(pending, frozenset(keys))


@dataclass(frozen=True)
class Proposal:
    """A network to train, and what its accuracy is predicted to be, where enough is known."""

    network: Solution
    predicted: dict[str, Any] | None


def proposals(work: UnitOfWork, study: StudyRow, n: int) -> list[Proposal]:
    """`n` networks that the study has not had to do with, the most promising first.

    Raises: SpaceTooSmall.
    """
    architecture = Architecture.from_json(study.spec)
    had, kept = known(work, study), (str(work.session.get_bind()), study.id)
    seen = [o for o in observations.of_study(work, study) if o.role not in observations.COMPARED]
    found = propose(
        architecture,
        studies.space_of(architecture, study.space),
        seen,
        n,
        study.seed,
        pending=had.pending,
        excluded=had.taken,
        tuned=_tuned.get(kept),
    )
    if found.tuned is not None:
        _tuned[kept] = found.tuned
        while len(_tuned) > _MOST_KEPT:
            _tuned.popitem(last=False)
    expected = found.expected or [None] * n
    return [
        Proposal(network, None if belief is None else {"mean": belief[0], "sd": belief[1], "predictor": None})
        for network, belief in zip(found.networks, expected, strict=True)
    ]


def key_of(network: NetworkKey) -> str:
    """As it is stored."""
    return ".".join(map(str, network))


def _key(stored: str) -> NetworkKey:
    resolution, flops, params = map(int, stored.split("."))
    return resolution, flops, params
