"""A trial from claim to finish."""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from app.datasets import Dataset
from app.db.session import DatabaseAway
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.errors import UnknownDataset
from app.logs import about
from app.recipes import Recipe
from app.scaling.architecture import Config
from app.scaling.errors import ScalingError
from app.services import artifacts, datasets, leases
from app.settings import Settings
from worker import devices
from worker.classification import Classification
from worker.datasets import DataError, Splits, load
from worker.detection import Detection
from worker.export import ExportError, export
from worker.folders import OnRead
from worker.images import Normalisation
from worker.leases import Heartbeat
from worker.measuring import counted
from worker.scenes import ScenesInParts, load_scenes
from worker.ssdlite import SSDLite
from worker.training import Diverged, Progress, Reached, Result, Stopped, train

log = logging.getLogger("rdw.worker")

_INSIST_SECONDS = 120  # how long a finished training waits for a database that is away


def train_trial(settings: Settings, heartbeat: Heartbeat, sent_for: str) -> None:
    """Train the first trial in line to its end; `sent_for` is the trial whose message says that there is work."""
    if heartbeat.stopping.is_set():
        log.info("trial %s is left to another worker: this one was told to stop", sent_for)
        return
    with UnitOfWork(settings.database) as work:
        claim = leases.claim(work, heartbeat.owner, settings)
    if claim is None:
        log.info("no trial waits: %s is another's, or has ended, or is paused", sent_for)
        return
    with about(request_id=claim.trial.request_id, trial_id=claim.trial.id):
        _run(settings, heartbeat, claim)


def _run(settings: Settings, heartbeat: Heartbeat, claim: leases.Claim) -> None:
    trial_id = claim.trial.id
    torch.set_num_threads(settings.thread_count)
    heartbeat.hold(claim)
    log.info("trial %s: attempt %s (request %s)", trial_id, claim.trial.attempt, claim.trial.request_id)
    try:
        with UnitOfWork(settings.database) as work:
            dataset = datasets.find(work, claim.trial.dataset)
        result = _trained(settings, heartbeat, claim, dataset)
        exported = _exported(settings, claim, dataset, result)
    except Reached as rung:
        log.info("trial %s waits for its study after %s", trial_id, rung)
        epoch, accuracy = rung.epoch, rung.accuracy
        _insist(settings, lambda work: leases.reached(work, claim, epoch, accuracy))
    except Stopped:
        _stopped(settings, claim, heartbeat.why_stop())
    except Diverged as error:
        # From its checkpoint it would diverge again. Once it has failed the folder may be another attempt's.
        shutil.rmtree(artifacts.trial_folder(settings.data_dir, trial_id), ignore_errors=True)
        _fail(settings, heartbeat, claim, str(error))
    except (DataError, ScalingError, UnknownDataset) as error:
        _fail(settings, heartbeat, claim, str(error))
    except Exception as error:
        log.exception("trial %s failed unexpectedly", trial_id)
        _fail(settings, heartbeat, claim, _unexpected(error))
    else:
        _complete(settings, claim, result, exported)
    finally:
        heartbeat.release()


def _unexpected(error: BaseException) -> str:
    if _for_want_of_room(error):
        return "The disk of the data directory is full: make room, then retry the trial; it goes on where it was."
    return f"Unexpected {type(error).__name__}; the worker's log has more."


def _for_want_of_room(error: BaseException | None) -> bool:
    """Whether it is, or came from, a disk that is full: torch wraps such errors in its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


class EpochClock:
    """What each whole epoch takes, validation and checkpoint included."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def ended(self, progress: Progress) -> float | None:
        """The seconds since the epoch before ended; none within one."""
        if progress.validation_accuracy is None:
            return None
        began, self._began = self._began, time.monotonic()
        return self._began - began


def _trained(settings: Settings, heartbeat: Heartbeat, claim: leases.Claim, dataset: Dataset) -> Result:
    trial: TrialRow = claim.trial
    recipe = Recipe(**trial.recipe)

    def should_stop() -> bool:
        return heartbeat.why_stop() is not None

    def on_read(done: int, of: int) -> None:
        if should_stop():
            raise Stopped
        _report(settings, claim, {"phase": "reading", "images": done, "of": of})

    device, config = devices.chosen(settings), Config.from_json(trial.config)
    data = _data(settings, dataset, recipe.train_images, on_read)
    clock = EpochClock()

    def on_progress(progress: Progress) -> None:
        _report(settings, claim, {"phase": "training", **asdict(progress)}, clock.ended(progress))

    return train(
        Detection(config, recipe, data, device)
        if isinstance(data, ScenesInParts)
        else Classification(config, recipe, data, device, settings.loader_count),
        recipe,
        trial.seed,
        device=device,
        folder=artifacts.trial_folder(settings.data_dir, trial.id),
        on_progress=on_progress,
        should_stop=should_stop,
        until_epoch=trial.until_epoch,
    )


def _report(
    settings: Settings, claim: leases.Claim, progress: dict[str, Any], epoch_seconds: float | None = None
) -> None:
    try:
        with UnitOfWork(settings.database) as work:
            leases.report(work, claim, progress, epoch_seconds)
    except DatabaseAway:
        log.warning("trial %s: progress was not recorded, the database is away", claim.trial.id)


def _exported(settings: Settings, claim: leases.Claim, dataset: Dataset, result: Result) -> dict[str, Any]:
    """The result's `latency` and `operators`, or its `export_error`: no failure here loses the training.

    But where the disk is full the error goes on, and fails the trial: retried, it only exports.
    A detector's `detector` says what all of it costs: the trial's flops are those of its backbone as a classifier.
    """
    trial, config = claim.trial, Config.from_json(claim.trial.config)
    try:
        state = torch.load(artifacts.trial_folder(settings.data_dir, trial.id) / "weights.pt", weights_only=True)
        data = _data(settings, dataset, Recipe(**trial.recipe).train_images, lambda done, of: None)
        seen = data.train.images if isinstance(data, ScenesInParts) else data.train
        into = artifacts.folder(settings.data_dir, trial.id)
        exported = asdict(export(config, state, Normalisation.of(seen), result.history, into, dataset.task))
        return exported if dataset.task == "classification" else {**exported, "detector": _cost(config)}
    except ExportError as error:
        log.warning("trial %s: the export failed: %s", trial.id, error)
        return {"export_error": str(error)}
    except Exception as error:
        if _for_want_of_room(error):
            raise
        log.exception("trial %s: the export failed unexpectedly", trial.id)
        return {"export_error": _unexpected(error)}


def _cost(config: Config) -> dict[str, int]:
    """Of a whole detector, as fvcore counts it."""
    measured = counted(SSDLite(config), config)
    return {"flops": measured.flops, "fvcore_total": sum(measured.by_operator.values()), "params": measured.params}


_Data = Splits | ScenesInParts
_LATEST: OrderedDict[tuple[Dataset, Path, int | None], _Data] = OrderedDict()
_MOST = 2  # sets that a worker keeps


def _data(settings: Settings, dataset: Dataset, limit: int | None, on_read: OnRead) -> _Data:
    """The set, from the last time where that was lately."""
    key = (dataset, settings.data_dir, limit)
    if key not in _LATEST:
        while len(_LATEST) >= _MOST:
            _LATEST.popitem(last=False)
        _LATEST[key] = _read(settings, dataset, limit, on_read)
    _LATEST.move_to_end(key)
    return _LATEST[key]


def _read(settings: Settings, dataset: Dataset, limit: int | None, on_read: OnRead) -> _Data:
    if dataset.task == "detection":
        return load_scenes(dataset, settings.data_dir, limit)
    return load(
        dataset,
        settings.data_dir,
        limit,
        hold_bytes=settings.hold_bytes,
        readers=settings.loader_count,
        on_read=on_read,
    )


def _complete(settings: Settings, claim: leases.Claim, result: Result, exported: dict[str, Any]) -> None:
    plain = {**result.to_json(), **exported}

    if _insist(settings, lambda work: leases.complete(work, claim, plain)):
        log.info("trial %s completed: %.4f", claim.trial.id, result.accuracy)
        artifacts.forget_checkpoints(settings.data_dir, claim.trial.id)
    else:  # the checkpoint is for who has the trial now
        log.warning("trial %s: the lease was lost, the result is kept as superseded", claim.trial.id)


def _fail(settings: Settings, heartbeat: Heartbeat, claim: leases.Claim, reason: str) -> None:
    log.warning("trial %s failed: %s", claim.trial.id, reason)
    _insist(settings, lambda work: leases.fail(work, claim, reason, heartbeat.log.lines()))


def _stopped(settings: Settings, claim: leases.Claim, why: str | None) -> None:
    log.info("trial %s stopped: %s", claim.trial.id, why)
    if why == "cancelled":
        _insist(settings, lambda work: leases.cancelled(work, claim))
    elif why == "stopping":
        _insist(settings, lambda work: leases.hand_back(work, claim))


def _insist(settings: Settings, write: Callable[[UnitOfWork], bool]) -> bool:
    """Write, again and again where the database is away: an hour's training must not be lost to a restart of it."""
    deadline = time.monotonic() + _INSIST_SECONDS
    while True:
        try:
            with UnitOfWork(settings.database) as work:
                return write(work)
        except DatabaseAway:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
