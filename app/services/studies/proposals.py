"""Proposals: the networks to train next in a study, from the active sampler, for trials and suggestions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from app.core.predictions import PredictedAccuracy
from app.core.studies import SuggestionState
from app.core.trials import TrialState
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.bounded_cache import BoundedCache
from app.scaling.network import Architecture
from app.scaling.predictors.point import BuiltPoint
from app.scaling.resolution import sides_of, to_resolution
from app.scaling.search.active_sampler import TunedPrior, propose
from app.scaling.search.candidates import Candidate
from app.scaling.search.observations import NetworkKey, Observation, to_built_points, to_evidence
from app.scaling.solver.width_solver import Solution
from app.services import observations
from app.services.trials.lifecycle import UNFINISHED

_MAX_HISTORIES = 256  # finished trainings whose learning curves are read

_tuned: BoundedCache[tuple[str, str], TunedPrior] = BoundedCache("tuned_priors", lambda _: 2000)  # by study

Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class History:
    """A study's networks so far: observations, unfinished trainings, stopped ones, and the keys of all (`taken`)."""

    observed: list[Observation]
    pending: list[Observation]
    stopped: list[Observation]
    taken: frozenset[NetworkKey]


def load_history(work: UnitOfWork, study: StudyRow) -> History:
    """Load the history from the study's observations, its trials in any state, and suggestions."""
    trials = work.trials.networks_of_study(study.id)
    suggested = work.suggestions.of_study(study.id)
    scaled = [t for t in trials if t.r is not None and t.ratio is not None]
    pending = [observations.from_trial(t, t.role.is_sampled) for t in scaled if t.state in UNFINISHED]
    pending += [observations.from_suggestion(s) for s in suggested if s.state is SuggestionState.PENDING]
    cancelled = [t for t in scaled if t.state is TrialState.CANCELLED and t.role.is_sampled]
    stopped = [observations.from_trial(t, has_curve=True) for t in cancelled]
    observed = [o for o in observations.load_for_study(work, study) if o.role.counts]
    if any(o.curve for o in (*pending, *stopped)):
        observed = _add_curves(work, study, observed)
    keys = {(t.resolution, t.flops, t.params) for t in trials} | {_decode_key(s.network) for s in suggested}
    return History(observed, pending, stopped, frozenset(keys))


def load_evidence(work: UnitOfWork, study: StudyRow) -> list[BuiltPoint]:
    """Return the networks to fit a surrogate of the final accuracy on: finished ones, and estimates of the others."""
    past = load_history(work, study)
    points, epoch = to_evidence(study.spec, past.observed, [*past.pending, *past.stopped], study.recipe.epochs)
    return points if epoch == study.recipe.epochs else to_built_points(study.spec, past.observed)


def _add_curves(work: UnitOfWork, study: StudyRow, observed: list[Observation]) -> list[Observation]:
    """Return the observations with the learning curves of the latest finished trainings."""
    curves: dict[str | tuple[float, ...], Curve] = dict(work.trials.learning_curves(study.id, _MAX_HISTORIES))
    for row in work.suggestions.latest_curves(study.id, _MAX_HISTORIES):
        curves[row.r, row.d, row.w, row.flops] = observations.from_suggestion(row).curve
    return [
        replace(o, curve=curves.get(o.trial or (o.r, o.d, o.w, o.flops), ())) if o.role.is_sampled or not o.trial else o
        for o in observed
    ]


@dataclass(frozen=True)
class Proposal:
    """A network to train and its predicted accuracy, if there are enough observations to predict it."""

    network: Solution
    predicted: PredictedAccuracy | None

    @property
    def key(self) -> NetworkKey:
        return self.network.config.resolution, self.network.cost.flops, self.network.cost.params


@dataclass(frozen=True)
class Ranking:
    """Proposals, and spares for those that others get before they are stored; the most promising first in both.

    With `is_complete` the space has no other networks.
    """

    architecture: Architecture
    proposals: list[Proposal]
    spares: list[tuple[Candidate, PredictedAccuracy | None]]
    is_complete: bool

    def select_new(self, work: UnitOfWork, study: StudyRow, n: int) -> list[Proposal]:
        """Return the best `n` networks that the study does not have; fewer only if the ranking has no more.

        No other transaction gets them if the study is locked.
        """
        keys = [p.key for p in self.proposals] + [candidate.key for candidate, _ in self.spares]
        taken = {_decode_key(network) for network in work.suggestions.existing(study.id, [*map(encode_key, keys)])}
        taken |= work.studies.network_keys(study.id, {flops for _, flops, _ in keys})
        new = [p for p in self.proposals if p.key not in taken][:n]
        unused = ((candidate, predicted) for candidate, predicted in self.spares if candidate.key not in taken)
        for candidate, predicted in islice(unused, n - len(new)):
            new.append(Proposal(candidate.build(self.architecture), predicted))
        return new


def propose_networks(work: UnitOfWork, study: StudyRow, n: int) -> Ranking:
    """Propose `n` new networks; fewer only if the space has no more.

    The database is released before the computation.
    """
    past = load_history(work, study)
    work.release()
    proposals = propose(
        study.spec,
        study.space.for_architecture(study.spec),
        past.observed,
        n,
        study.seed,
        pending=past.pending,
        stopped=past.stopped,
        excluded=past.taken,
        tuned_prior=_tuned.get((work.database, study.id)),
        epochs=study.recipe.epochs,
    )
    if proposals.tuned_prior is not None:
        _tuned.put((work.database, study.id), proposals.tuned_prior)
    expected = iter([PredictedAccuracy(*belief, predictor=None) for belief in proposals.expected or ()])
    return Ranking(
        study.spec,
        [Proposal(network, next(expected, None)) for network in proposals.networks],
        [(candidate, next(expected, None)) for candidate in proposals.spares],
        proposals.is_complete,
    )


def encode_key(network: NetworkKey) -> str:
    """Encode a key as it is stored in the database."""
    resolution, flops, params = network
    return f"{'x'.join(map(str, dict.fromkeys(sides_of(resolution))))}.{flops}.{params}"


def _decode_key(stored: str) -> NetworkKey:
    sides, flops, params = stored.split(".")
    height, _, width = sides.partition("x")
    return to_resolution([int(height), int(width or height)]), int(flops), int(params)
