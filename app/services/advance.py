"""Studies that go on by themselves: refits, the active sampler's next networks, and who passes a rung.

Whatever comes of a trial, or is told, is a change of its studies. Each is seen to by one process, whichever comes
first, and nothing is lost where that one dies: what it wrote and that the change was seen to are one transaction.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

from app.db.session import DatabaseAway
from app.db.tables import StudyRow, utc_now
from app.db.unit_of_work import Send, UnitOfWork
from app.scaling.errors import NotEnoughObservations, SpaceTooSmall
from app.scaling.gate import Gate
from app.scaling.halving import RungResult, promotable, rungs
from app.services import observations, proposing, refits, studies
from app.settings import Settings

log = logging.getLogger("rdw.studies")

_AT_A_TIME = 8
_LEAST_AHEAD = 2  # networks waiting or in training, at least; else two a worker, so that none is idle


def advance(settings: Settings, send: Send) -> int:
    """See to all changes that nobody has seen to; of how many studies. Any number of replicas may run it."""
    with UnitOfWork(settings.database, writes=False) as work:
        unseen = work.studies.unseen(_AT_A_TIME)
    for study_id, version in unseen:
        try:
            _advance(settings, send, study_id, version)
        except DatabaseAway:
            raise
        except Exception:  # one study's trouble is not the others'
            log.exception("study %s could not be seen to", study_id)
    return len(unseen)


def _advance(settings: Settings, send: Send, study_id: str, version: int) -> None:
    with UnitOfWork(settings.database, writes=False) as look:
        study = studies.find(look, study_id)
        counted = sum(o.role not in observations.COMPARED for o in observations.of_study(look, study))
        refit = _refit(look, study, counted)
        try:
            networks, size = _next_networks(look, study, settings), study.size
        except SpaceTooSmall:
            log.warning("study %s: its space has no more than %s networks", study.id, study.proposed)
            networks, size = [], study.proposed
    with UnitOfWork(settings.database, send) as work:
        study = studies.find(work, study_id)
        if not work.studies.see(study, version):
            return
        if refit is not None:
            row = refits.keep(work, refit, "gate")
            log.info("study %s: %s. %s", study.id, row.id, refit.decision.why)
        if _due(study, counted):
            study.refitted, study.refit_why = counted, None
        if networks or size != study.size:
            study.proposed, study.size = study.proposed + len(networks), size
            studies.train(work, study, networks, "active")
        _halve(work, study)
        work.commit()


def _due(study: StudyRow, counted: int) -> bool:
    """Whether its predictor is to be fitted anew: so many observations have come, or one of its own has gone."""
    every = (study.options.get("refit") or {}).get("every")
    return study.refit_why is not None or (every is not None and counted - study.refitted >= every)


def _refit(work: UnitOfWork, study: StudyRow, counted: int) -> refits.Refit | None:
    gone = study.refit_why
    if not _due(study, counted) or (gone is not None and work.predictors.newest_of_study(study.id) is None):
        return None
    options = study.options.get("refit") or {}
    because = gone or f"{counted - study.refitted} observations had come."
    try:
        return refits.fit(work, study, options.get("k", 20), Gate(**options.get("gate", {})), because)
    except NotEnoughObservations as error:
        log.info("study %s: no refit yet: %s", study.id, error)
        return None


def _next_networks(work: UnitOfWork, study: StudyRow, settings: Settings) -> list[studies.Network]:
    """As many as the workers need to have something to do, of a study that draws its own."""
    left = study.size - study.proposed
    if study.sampler != "active" or study.state != "started" or left <= 0:
        return []
    ahead = max(_LEAST_AHEAD, 2 * len(work.workers.alive(settings.lease_seconds)))
    waiting = {
        (t.resolution, t.flops, t.params)
        for t in work.trials.networks_of_study(study.id)
        if t.role == "active" and t.state in ("queued", "running") and not t.held
    }
    wanted = min(left, ahead - len(waiting))
    if wanted <= 0:
        return []
    try:
        found = proposing.proposals(work, study, wanted)
    except SpaceTooSmall as error:
        if error.found == 0:
            raise
        found = proposing.proposals(work, study, error.found)
    return [studies.Network(p.network.multipliers, p.network.config, p.predicted) for p in found]


def _halve(work: UnitOfWork, study: StudyRow) -> None:
    """Let those go on that are among the best of their rung; end the others once no more can come to compare."""
    halving = study.options.get("halving")
    if not halving or study.state != "started":
        return
    steps = rungs(study.recipe["epochs"], halving["eta"], halving["least_epochs"])
    mine = [t for t in work.trials.networks_of_study(study.id) if t.role in ("random", "active")]
    held = [t for t in mine if t.held and t.state == "queued"]
    promoted = []
    for rung, following in pairwise(steps):
        there = {t.id: _at(t.rungs, rung) for t in mine if _at(t.rungs, rung) is not None}
        results = [RungResult(t.id, t.flops, there[t.id]) for t in mine if t.id in there]
        waiting = {t.id for t in held if t.until_epoch == rung}
        until = following if following < steps[-1] else None
        gone_on = {id for id in there if id not in waiting}
        for trial_id in promotable(results, gone_on, halving["eta"]):
            if trial_id in waiting and work.trials.let_go_on(trial_id, until):
                promoted.append(trial_id)
    if promoted:
        work.send([*work.trials.by_id(promoted).values()])
        return
    under_way = any(t.state in ("queued", "running") and not t.held for t in mine)
    if not under_way and study.proposed >= study.size:
        for trial in held:
            _end(work, trial, steps)


def _at(reached: list[dict[str, Any]] | None, epoch: int) -> float | None:
    return next((one["accuracy"] for one in reached or [] if one["epoch"] == epoch), None)


def _end(work: UnitOfWork, trial: Any, steps: list[int]) -> None:
    error = f"Stopped after {trial.until_epoch} of {steps[-1]} epochs: others of its study promised more."
    if work.trials.change_in_state(
        trial.id, "queued", state="cancelled", error=error, finished_at=utc_now(), held=False
    ):
        work.events.record(trial.id, "state", {"state": "cancelled", "error": error})
