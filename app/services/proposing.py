"""What to train next in a study: the active sampler on all that the study knows, whoever trains it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.active import Tuned, enough, propose
from app.scaling.architecture import Architecture
from app.scaling.halving import rungs
from app.scaling.observations import NetworkKey, Observation
from app.scaling.width_solver import Solution
from app.services import observations, studies

_DRAWN = ("random", "active")  # roles of networks that the study drew, which are those that are halved
_MOST_KEPT = 64
_tuned: OrderedDict[tuple[str, str, int], Tuned] = OrderedDict()


@dataclass(frozen=True)
class Known:
    """What a study has had to do with: networks under way, what was reached at rungs, by epoch, and the keys of all
    that must not come again.
    """

    pending: list[Observation]
    at_rungs: dict[int, list[Observation]]
    taken: frozenset[NetworkKey]


def known(work: UnitOfWork, study: StudyRow) -> Known:
    """Of its trials, in any state, and its suggestions."""
    trials = work.trials.networks_of_study(study.id)
    suggested = work.suggestions.of_study(study.id)
    pending = [_observed(t, 0.0) for t in trials if t.state in ("queued", "running") and t.multipliers and t.ratio]
    at_rungs: dict[int, list[Observation]] = {}
    for t in trials:
        for rung in (t.rungs or []) if t.role in _DRAWN and t.multipliers and t.ratio else []:
            at_rungs.setdefault(rung["epoch"], []).append(_observed(t, rung["accuracy"]))
    pending += [Observation(s.r, s.d, s.w, s.ratio, s.flops, s.params, 0.0) for s in suggested if s.state == "pending"]
    keys = {(t.resolution, t.flops, t.params) for t in trials} | {_key(s.network) for s in suggested}
    return Known(pending, at_rungs, frozenset(keys))


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
    had = known(work, study)
    seen, epochs = _learned_from(work, study, had)
    kept = str(work.session.get_bind()), study.id, epochs
    trained = {o.trial for o in seen}
    found = propose(
        architecture,
        studies.space_of(architecture, study.space),
        seen,
        n,
        study.seed,
        pending=[o for o in had.pending if o.trial is None or o.trial not in trained],
        excluded=had.taken,
        tuned=_tuned.get(kept),
    )
    if found.tuned is not None:
        _tuned[kept] = found.tuned
        while len(_tuned) > _MOST_KEPT:
            _tuned.popitem(last=False)
    whole = epochs == study.recipe["epochs"]  # what is expected at a rung is no prediction of what comes of a training
    expected = found.expected if found.expected and whole else [None] * n
    return [
        Proposal(network, None if belief is None else {"mean": belief[0], "sd": belief[1], "predictor": None})
        for network, belief in zip(found.networks, expected, strict=True)
    ]


def _learned_from(work: UnitOfWork, study: StudyRow, had: Known) -> tuple[list[Observation], int]:
    """What the sampler learns from, and after how many epochs.

    Networks that were trained to the end; with halving it takes long until these are enough, and until then what was
    reached at the highest rung that enough networks have come to, as in BOHB (Falkner et al., 2018).
    """
    done = [o for o in observations.of_study(work, study) if o.role not in observations.COMPARED]
    epochs, halving = study.recipe["epochs"], study.options.get("halving")
    steps = rungs(epochs, halving["eta"], halving["least_epochs"])[:-1] if halving and not enough(done) else []
    for step in reversed(steps):
        if enough(reached := had.at_rungs.get(step, [])):
            return reached, step
    return done, epochs


def _observed(trial: Any, accuracy: float) -> Observation:
    m = trial.multipliers
    return Observation(m["r"], m["d"], m["w"], trial.ratio, trial.flops, trial.params, accuracy, trial.id)


def key_of(network: NetworkKey) -> str:
    """As it is stored."""
    return ".".join(map(str, network))


def _key(stored: str) -> NetworkKey:
    resolution, flops, params = map(int, stored.split("."))
    return resolution, flops, params
