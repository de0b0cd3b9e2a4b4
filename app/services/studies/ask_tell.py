"""Ask and tell: networks for clients that train elsewhere, and the results that they report.

Suggestions belong to a client by its name: asking again returns those that it has not reported yet. No network is
suggested twice. A result reported after the lease has expired is accepted and marked as late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock

from app.core.errors import Conflict, NotFound
from app.core.studies import InterimResult, ReportedResult, SuggestionState
from app.db.tables import StudyRow, SuggestionRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.scaling.errors import SpaceExhausted
from app.scaling.families import flops_of
from app.scaling.network import Multipliers
from app.scaling.search.asha import expect_results, may_continue
from app.scaling.search.observations import Observation
from app.services import observations
from app.services.auth import quotas
from app.services.observations import TrainedNetwork
from app.services.studies import lifecycle, proposals, studies
from app.services.studies.in_process import ComputeOverStudy, compute_here

_MAX_RANKINGS = 8  # a second one is needed only if other clients have got hundreds of networks meanwhile
_MAX_WAIT_SECONDS = 25.0  # for the other threads of this process that propose for the study
_LOCKS = [Lock() for _ in range(64)]


def ask(
    open_read: Callable[[], UnitOfWork],
    open_write: Callable[[], UnitOfWork],
    study_id: str,
    client: str,
    n: int,
    lease_seconds: float,
    compute: ComputeOverStudy = compute_here,
) -> list[SuggestionRow]:
    """Return `n` networks for the client to train: first those that it has not reported yet, then new ones.

    There are fewer only if the space has no more. All of them get a new lease. Networks are ranked before the
    transaction that stores them, which chooses from the ranking what no other client has got meanwhile; `compute` may
    do so in another process.
    Raises: NotFound; NotOwner; SpaceExhausted if no network is left; Conflict if the study was cancelled or is
    archived, or if other clients got all ranked networks each time.
    """
    with _take_turns(study_id):
        for _ in range(_MAX_RANKINGS):
            with open_read() as work:
                study = studies.find_own(work, study_id)
                lifecycle.require_takes_work(study)
                missing = n - len(work.suggestions.pending(study.id, client))
                ranking = compute(work, study, proposals.propose_networks, missing) if missing > 0 else None
            with open_write() as work:
                mine = _store_suggestions(work, study_id, client, n, lease_seconds, ranking)
            is_exhausted = ranking is not None and ranking.is_complete
            if len(mine) == n or is_exhausted:
                break
    if mine:
        return mine
    raise SpaceExhausted() if is_exhausted else Conflict("Other clients got all ranked networks: ask again.")


@contextmanager
def _take_turns(study_id: str) -> Iterator[None]:
    """Let the process's threads propose for a study in turn: each takes into account what the others have got.

    A thread that has waited for too long proceeds without the lock.
    """
    lock = _LOCKS[hash(study_id) % len(_LOCKS)]
    has_lock = lock.acquire(timeout=_MAX_WAIT_SECONDS)
    try:
        yield
    finally:
        if has_lock:
            lock.release()


def _store_suggestions(
    work: UnitOfWork, study_id: str, client: str, n: int, lease_seconds: float, ranking: proposals.Ranking | None
) -> list[SuggestionRow]:
    """Store the new suggestions that the client still needs; return at most `n` of the client's suggestions."""
    study = studies.lock_own(work, study_id)  # concurrent requests of one client get the same suggestions
    lifecycle.require_takes_work(study)
    mine = work.suggestions.pending(study.id, client)[:n]
    until = work.suggestions.clock() + lease_seconds
    for row in mine:
        row.lease_expires_at = until
    if ranking is not None and len(mine) < n:
        proposed = ranking.select_new(work, study, n - len(mine))
        new = [_suggestion(study, client, proposal, until) for proposal in proposed]
        work.suggestions.add_all(new)
        mine += new
    work.commit()
    return mine


def _lock_suggestion(work: UnitOfWork, study_id: str, suggestion_id: str) -> tuple[StudyRow, SuggestionRow]:
    """Return the study and its suggestion, which stays locked until the transaction ends.

    Raises: NotFound; NotOwner.
    """
    study = studies.lock_own_against_deletion(work, study_id)
    row = work.suggestions.lock(suggestion_id)
    if row is None or row.study_id != study.id:
        raise NotFound("suggestion", suggestion_id)
    return study, row


def tell(work: UnitOfWork, study_id: str, suggestion_id: str, report: ReportedResult) -> SuggestionRow:
    """Record the result of a suggestion; reporting the same again changes nothing.

    An infeasible suggestion may be reported again, and a reported one whose observation was retracted.
    Raises: NotFound; NotOwner; Conflict if another result was reported before; QuotaExceeded.
    """
    study, row = _lock_suggestion(work, study_id, suggestion_id)
    if _is_final_result(work, row, report):
        return row
    row.late = work.suggestions.clock() > row.lease_expires_at
    row.reported_at, row.reported, row.reason = utc_now(), report, report.infeasible
    if report.accuracy is None:
        row.state = SuggestionState.INFEASIBLE
    else:
        row.state = SuggestionState.REPORTED
        provenance = {"source": row.client, "suggestion": row.id, "late": row.late}
        observation = observations.create_from_report(study, TrainedNetwork.suggested(row), report, provenance)
        work.observations.add(observation)
        quotas.check_observations(work)
        row.reported = replace(report, observation=observation.id)
    work.studies.record_change(study.id)
    work.commit()
    return row


def report_own_network(
    work: UnitOfWork, study_id: str, client: str, multipliers: Multipliers, report: ReportedResult
) -> int:
    """Record the result of a network that the client chose itself; return the id of its observation.

    Raises: NotFound; NotOwner; InvalidNetwork; Conflict if the study was cancelled; QuotaExceeded.
    """
    study = studies.lock_own_against_deletion(work, study_id)
    lifecycle.require_not_cancelled(study)
    if before := work.recorded_outcome():
        return int(before)
    observation = observations.create_from_report(
        study, TrainedNetwork.scaled(study.spec, multipliers), report, {"source": client}
    )
    work.observations.add(observation)
    quotas.check_observations(work)
    work.studies.record_change(study.id)
    work.record_outcome(observation.id)
    work.commit()
    return observation.id


def tell_interim(
    work: UnitOfWork, study_id: str, suggestion_id: str, epoch: int, accuracy: float
) -> tuple[SuggestionRow, bool]:
    """Record the accuracy of a suggestion after an epoch; return the suggestion and whether its training continues.

    The study's halving decides at each rung, by comparison with the suggestions and trials that have reached it;
    between rungs the last decision applies. Without halving every training continues. Interim results are not
    observations.
    Raises: NotFound; NotOwner; Conflict if the suggestion has a final result.
    """
    study, row = _lock_suggestion(work, study_id, suggestion_id)
    if _is_final_result(work, row, None):
        raise Conflict("The suggestion has a final result already, so it takes no interim results.")
    interim = row.interim or ()
    earlier = [result for result in interim if result.epoch < epoch]
    same = next((result for result in interim if result.epoch == epoch), None)
    if same is not None and same.accuracy == accuracy:
        return row, same.go_on
    go_on = _may_continue(work, study, row, earlier, epoch, accuracy)
    later = [result for result in interim if result.epoch > epoch]
    row.interim = (*earlier, InterimResult(epoch, accuracy, go_on), *later)
    work.commit()
    return row, go_on


def _may_continue(
    work: UnitOfWork, study: StudyRow, row: SuggestionRow, earlier: list[InterimResult], epoch: int, accuracy: float
) -> bool:
    halving, last = study.options.halving, max((result.epoch for result in earlier), default=0)
    rungs = study.options.rungs(study.recipe.epochs)[:-1]
    rung = max((rung for rung in rungs if last < rung <= epoch), default=None)
    if halving is None or rung is None:
        return earlier[-1].go_on if earlier else True
    trainings = {
        t.id: observations.from_trial(t, has_curve=True)
        for t in work.trials.networks_of_study(study.id)
        if t.role.is_sampled
    }
    for other in work.suggestions.with_interim_results(study.id):
        trainings[other.id] = _at_rung(observations.from_suggestion(other), rung)
    own = observations.from_suggestion(row)
    curve = (*((result.epoch, result.accuracy) for result in earlier), (epoch, accuracy))
    trainings[row.id] = _at_rung(replace(own, curve=curve), rung)
    return may_continue(expect_results(study.spec, trainings, rung), row.id, halving.eta)


def _at_rung(training: Observation, rung: int) -> Observation:
    """Return the training with an accuracy at the rung: the first one reported from then on, if there is one."""
    first = next((accuracy for epoch, accuracy in training.curve if epoch >= rung), None)
    if first is None:
        return training
    return replace(training, curve=(*training.curve, (rung, first)))


def _is_final_result(work: UnitOfWork, row: SuggestionRow, report: ReportedResult | None) -> bool:
    """Return whether the report is already the suggestion's final result; False if it may be recorded.

    Without a report, return whether the suggestion has a final result.
    Raises: Conflict if it has a different final result.
    """
    before = row.reported
    if row.state is SuggestionState.PENDING or before is None:
        return False
    if row.state is SuggestionState.INFEASIBLE:
        return report is not None and replace(before, observation=None) == report
    if before.observation is None or work.observations.is_retracted(before.observation):
        return False
    if report is not None and replace(before, observation=None) != report:
        raise Conflict(
            "A different result of this suggestion was reported before. If it is wrong, retract observation "
            f"{before.observation} and report again."
        )
    return True


def _suggestion(study: StudyRow, client: str, proposal: proposals.Proposal, until: float) -> SuggestionRow:
    network = proposal.network
    return SuggestionRow(
        study_id=study.id,
        client=client,
        network=proposals.encode_key(proposal.key),
        r=network.multipliers.r,
        d=network.multipliers.d,
        w=network.multipliers.w,
        ratio=network.cost.flops / flops_of(study.spec),
        config=network.config,
        flops=network.cost.flops,
        params=network.cost.params,
        predicted=proposal.predicted,
        lease_expires_at=until,
    )
