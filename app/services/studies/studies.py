"""Creation of studies: sets of networks around a baseline, sampled at random or actively, to be trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np

from app.core.errors import Conflict, require_found
from app.core.studies import Sampler, StudyOptions
from app.data.builtin_datasets import Dataset
from app.data.recipes import Recipe
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.families import flops_of
from app.scaling.network import Architecture, Config
from app.scaling.rules.batch import RecommendationRequest
from app.scaling.rules.recommend import Budget
from app.scaling.search.random_sampler import SearchSpace, sample
from app.scaling.solver.width_solver import TargetOutOfRange
from app.services.auth import quotas
from app.services.auth.ownership import require_admin, require_owner
from app.services.catalog import architectures, dataset_life, datasets
from app.services.recommendations import recommend_network
from app.services.studies.training import Network
from app.services.trials.estimates import Estimate, fit_throughput

_WIDTH_ALONE = Budget(tolerance=None)  # compound scaling's own r and d; only the width is solved


@dataclass(frozen=True)
class StudyPlan:
    """A requested study.

    `space` is relative to the baseline with the data set's classes; compound networks cover the same range.
    """

    name: str
    architecture: Architecture
    dataset: Dataset
    recipe: Recipe
    space: SearchSpace
    size: int
    seed: int
    sampler: Sampler = Sampler.RANDOM
    options: StudyOptions = field(default_factory=StudyOptions)
    is_registered: bool = False  # the baseline was looked up by its name, and is not part of the request

    @property
    def fitted(self) -> Architecture:
        """The baseline for the data set's classes and channels."""
        return self.architecture.adapt(self.dataset.num_classes, self.dataset.in_chans)


def find(work: UnitOfWork, study_id: str) -> StudyRow:
    """Return the study of that id. Raises: NotFound."""
    return require_found(work.studies.get(study_id), "study", study_id)


def lock(work: UnitOfWork, study_id: str) -> StudyRow:
    """Return the study of that id, locked until the commit; its trials are not locked. Raises: NotFound."""
    return require_found(work.studies.lock(study_id), "study", study_id)


def lock_own(work: UnitOfWork, study_id: str) -> StudyRow:
    """Return the study of that id, which the caller may change, as `lock` does.

    Raises: NotFound; NotOwner.
    """
    return require_owner(work.caller, lock(work, study_id))


def lock_against_deletion(work: UnitOfWork, study_id: str) -> StudyRow:
    """Return the study of that id, to which something is added; it is not deleted until the commit.

    Raises: NotFound.
    """
    return require_found(work.studies.lock_against_deletion(study_id), "study", study_id)


def lock_own_against_deletion(work: UnitOfWork, study_id: str) -> StudyRow:
    """Return the study of that id, which the caller may change, as `lock_against_deletion` does.

    Raises: NotFound; NotOwner.
    """
    return require_owner(work.caller, lock_against_deletion(work, study_id))


def find_own(work: UnitOfWork, study_id: str) -> StudyRow:
    """Return the study of that id, which the caller may change.

    Raises: NotFound; NotOwner.
    """
    return require_owner(work.caller, find(work, study_id))


def find_existing(work: UnitOfWork, plan: StudyPlan) -> StudyRow | None:
    """Return the newest study of the plan's name that is not archived and that the caller may change, if there is one.

    Raises: Conflict if it is of another baseline or data set.
    """
    caller = work.caller
    study = work.studies.newest_of_name(plan.name, None if caller.is_admin else caller.owner)
    if study is not None and (study.spec != plan.fitted or study.dataset != plan.dataset.name):
        raise Conflict(
            f"There is a study {plan.name!r} ({study.id}) of {study.architecture} on {study.dataset}, which is another "
            "baseline or data set: choose another name."
        )
    return study


def create(work: UnitOfWork, plan: StudyPlan, *, load_if_exists: bool = False) -> StudyRow:
    """Store a study. Its networks are sampled here as well, so that a space with too few of them is rejected.

    With `load_if_exists`, return the study of that name instead if there is one.
    Raises: SpaceTooSmall; InvalidNetwork; NotFound if the baseline was deleted; Conflict if the baseline or the data
    set is archived, or the study of that name is of others; Forbidden if the caller may not let it promote its
    predictors; QuotaExceeded.
    """
    if before := work.recorded_outcome():
        return find(work, before)
    if load_if_exists and (existing := find_existing(work, plan)):
        return existing
    if plan.options.refit.promote:
        require_promotion(work)
    work.release()
    fitted = plan.fitted
    families.check(fitted.baseline)
    datasets.check_input(plan.dataset, fitted.baseline)
    sample(fitted, plan.space.for_architecture(fitted), plan.size, plan.seed)
    row = StudyRow(
        owner=work.caller.owner,
        name=plan.name,
        architecture=plan.architecture.name,
        spec=fitted,
        dataset=plan.dataset.name,
        recipe=plan.recipe,
        space=plan.space,
        size=plan.size,
        seed=plan.seed,
        sampler=plan.sampler,
        options=plan.options,
    )
    if plan.is_registered:
        architectures.require_trainable(work, plan.architecture)
    dataset_life.require_trainable(work, plan.dataset)
    if load_if_exists:
        work.studies.lock_name(plan.name)
        if existing := find_existing(work, plan):  # another client has created it meanwhile
            return existing
    work.studies.add(row)
    quotas.check_studies(work)
    work.record_outcome(row.id)
    work.commit()
    return row


def require_promotion(work: UnitOfWork) -> None:
    """Check that the caller may let a study's refits become active by themselves.

    Raises: Forbidden.
    """
    require_admin(work.caller, "Letting a study's predictors answer everybody (`promote`)")


def estimate(work: UnitOfWork, plan: StudyPlan) -> Estimate:
    """Estimate the time of all trials of such a study, one after the other; nothing is stored.

    Savings by halving are ignored, and random networks are assumed for an active study.
    Raises: SpaceTooSmall; InvalidNetwork.
    """
    fitted = plan.fitted
    families.check(fitted.baseline)
    datasets.check_input(plan.dataset, fitted.baseline)
    throughput = fit_throughput(work, plan.dataset.task)
    work.release()
    configs = [
        solution.config for solution in sample(fitted, plan.space.for_architecture(fitted), plan.size, plan.seed)
    ]
    configs += [network.config for network in compound_networks(fitted, plan.space, plan.options.compound)]
    flops = [families.network_cost(config).flops for config in configs for _ in range(plan.options.seeds)]
    return reduce(add, (throughput.estimate(cost, plan.dataset, plan.recipe) for cost in flops)).with_first_use()


def compound_networks(architecture: Architecture, space: SearchSpace, n: int) -> list[Network]:
    """Return `n` networks from EfficientNet's compound scaling, evenly spaced in the logarithm of flops.

    There are fewer if some targets cannot be reached.
    """
    networks: dict[Config, Network] = {}
    for ratio in np.geomspace(*space.ratio, n + 2)[1:-1] if n else []:
        target = round(ratio * flops_of(architecture))
        request = RecommendationRequest(architecture, "compound", target, budget=_WIDTH_ALONE)
        try:
            recommendation = recommend_network(request).recommendation
        except TargetOutOfRange:
            continue
        networks.setdefault(recommendation.config, Network(recommendation.multipliers, recommendation.config))
    return list(networks.values())
