"""Runs a trial from its claim to its end."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from cachetools import LRUCache

from app.core.errors import UnknownDataset
from app.core.logging import log_context
from app.core.settings import Settings
from app.core.trials import Progress, ReadingProgress, TrainingProgress, TrialResult
from app.data.builtin_datasets import Dataset
from app.data.image_checks import OnRead
from app.data.recipes import Recipe
from app.data.weight_sources import WeightSource
from app.db.session import DatabaseUnavailable
from app.db.unit_of_work import UnitOfWork
from app.scaling.errors import ScalingError
from app.scaling.network import Config
from app.services.catalog import datasets
from app.services.trials import artifacts, lifecycle
from worker import devices
from worker.data.image_store import DataError
from worker.data.loading import Splits, load
from worker.data.preprocessing import Normalisation
from worker.data.scenes import SceneSplits, load_scenes
from worker.export import ExportError, export
from worker.fvcore_counts import count_network
from worker.heartbeat import Heartbeat, StopReason
from worker.training import pretrained
from worker.training.classification import Classification
from worker.training.detection import Detection
from worker.training.loop import Diverged, RungReached, TrainingStopped, train
from worker.training.pretrained import SourceError
from worker.training.ssdlite import SSDLite
from worker.training.teacher import get_teacher

log = logging.getLogger("rdw.worker")

_WEIGHTS = "weights.pt"  # as the training leaves them to the export
_MAX_RETRY_SECONDS = 120  # how long the end of a training is retried while the database is unavailable


def train_next_trial(settings: Settings, heartbeat: Heartbeat, notified_id: str) -> None:
    """Claim the first trial in the queue and run it; `notified_id` is the trial of the message, maybe another one."""
    if heartbeat.shutdown_requested.is_set():
        log.info("trial %s not claimed: this worker is shutting down", notified_id)
        return
    with UnitOfWork(settings.database) as work:
        claim = lifecycle.claim(work, heartbeat.owner, settings)
    if claim is None:
        log.info("trial %s not claimed: no trial is queued (it is running elsewhere, ended or paused)", notified_id)
        return
    with log_context(request_id=claim.trial.request_id, trial_id=claim.trial.id):
        _run(settings, heartbeat, claim)


def _run(settings: Settings, heartbeat: Heartbeat, claim: lifecycle.Claim) -> None:
    trial_id = claim.trial.id
    torch.set_num_threads(settings.thread_count)
    heartbeat.attach(claim)
    log.info("trial %s: attempt %s started (request %s)", trial_id, claim.trial.attempt, claim.trial.request_id)
    try:
        with UnitOfWork(settings.database) as work:
            dataset = datasets.find(work, claim.trial.dataset)
        result = _train(settings, heartbeat, claim, dataset)
        heartbeat.progress.begin_slow_phase()
        result = _export(settings, claim, dataset, result)
    except RungReached as rung:
        log.info("trial %s paused at its rung, %s", trial_id, rung)
        epoch, accuracy = rung.epoch, rung.accuracy
        _write_with_retry(settings, lambda work: lifecycle.reach_rung(work, claim, epoch, accuracy))
    except TrainingStopped:
        _record_stop(settings, claim, heartbeat.stop_reason())
    except Diverged as error:
        # A retry from the checkpoint would diverge again. Delete it before a retry can start.
        artifacts.delete_checkpoints(settings.data_dir, trial_id)
        _fail(settings, heartbeat, claim, str(error))
    except (DataError, ScalingError, SourceError, UnknownDataset) as error:
        _fail(settings, heartbeat, claim, str(error))
    except Exception as error:
        log.exception("trial %s failed unexpectedly", trial_id)
        _fail(settings, heartbeat, claim, _describe_unexpected(error))
    else:
        _complete(settings, claim, result)
    finally:
        _delete_unused_artifacts(settings, claim)
        heartbeat.detach()


def _describe_unexpected(error: BaseException) -> str:
    if _is_disk_full(error):
        return "The disk of the data directory is full: free some space, then retry the trial to resume it."
    return f"Unexpected {type(error).__name__}; see the worker's log."


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether the error or one of its causes is a full disk: torch wraps such errors in its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


class EpochTimer:
    """Measures how long each complete epoch takes, including validation and checkpoint."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def lap(self, progress: TrainingProgress) -> float | None:
        """Return the seconds since the last epoch ended, or None within an epoch."""
        if progress.validation_accuracy is None:
            return None
        start, self._start = self._start, time.monotonic()
        return self._start - start


def _train(settings: Settings, heartbeat: Heartbeat, claim: lifecycle.Claim, dataset: Dataset) -> TrialResult:
    trial = claim.trial
    recipe = Recipe(**trial.recipe)

    def should_stop() -> bool:
        heartbeat.progress.record_step()
        return heartbeat.stop_reason() is not None

    def on_read(done: int, of: int) -> None:
        if should_stop():
            raise TrainingStopped
        _report(settings, claim, ReadingProgress(done, of))

    device, config = devices.select_device(settings), Config.from_json(trial.config)
    data = _get_data(settings, dataset, recipe.train_images, on_read)
    heartbeat.progress.begin_slow_phase()
    timer = EpochTimer()

    def on_progress(progress: TrainingProgress) -> None:
        _report(settings, claim, progress, timer.lap(progress))

    init = partial(pretrained.load, settings, recipe.init) if isinstance(recipe.init, WeightSource) else None
    teacher = None
    if recipe.distill is not None:
        teacher = get_teacher(recipe.distill, partial(pretrained.load, settings, recipe.distill.teacher))
    return train(
        Detection(config, recipe, data, device, init=init)
        if isinstance(data, SceneSplits)
        else Classification(config, recipe, data, device, settings.thread_count, init=init, teacher=teacher),
        recipe,
        trial.seed,
        device=device,
        folder=artifacts.trial_folder(settings.data_dir, trial.id),
        weights_file=_artifact_folder(settings, claim) / _WEIGHTS,
        on_progress=on_progress,
        should_stop=should_stop,
        until_epoch=trial.until_epoch,
    )


def _report(settings: Settings, claim: lifecycle.Claim, progress: Progress, epoch_seconds: float | None = None) -> None:
    try:
        with UnitOfWork(settings.database) as work:
            lifecycle.report(work, claim, progress, epoch_seconds)
    except DatabaseUnavailable:
        log.warning("trial %s: progress not recorded, the database is unavailable", claim.trial.id)


def _export(settings: Settings, claim: lifecycle.Claim, dataset: Dataset, result: TrialResult) -> TrialResult:
    """Return the result with its `latency` and `operators`, or with `export_error` if the export fails.

    A failed export does not lose the training. Only a full disk fails the trial; a retry then exports again.
    A detector's result also has the cost of the whole `detector`: the trial's FLOPs are those of a classifier.
    """
    trial, config = claim.trial, Config.from_json(claim.trial.config)
    try:
        folder = _artifact_folder(settings, claim)
        state = torch.load(folder / _WEIGHTS, weights_only=True)
        recipe = Recipe(**trial.recipe)
        data = _get_data(settings, dataset, recipe.train_images, lambda done, of: None)
        train_images = data.train.images if isinstance(data, SceneSplits) else data.train
        normalisation = Normalisation.from_images(train_images, config.in_chans)
        exported = export(
            config, state, normalisation, result.history, folder, dataset.task, data.classes, recipe.crop_pct
        )
        detector = _count_detector(config) if dataset.task == "detection" else None
        return replace(result, latency=exported.latency, operators=exported.operators, detector=detector)
    except ExportError as error:
        log.warning("trial %s: the export failed: %s", trial.id, error)
        return replace(result, export_error=str(error))
    except Exception as error:
        if _is_disk_full(error):
            raise
        log.exception("trial %s: the export failed unexpectedly", trial.id)
        return replace(result, export_error=_describe_unexpected(error))


def _count_detector(config: Config) -> dict[str, int]:
    """Return the cost of the whole detector as counted by fvcore."""
    counts = count_network(SSDLite(config), config)
    return {"flops": counts.flops, "fvcore_total": sum(counts.by_operator.values()), "params": counts.params}


_Data = Splits | SceneSplits
_DATA_CACHE: LRUCache[tuple[Dataset, Path, int | None], _Data] = LRUCache(maxsize=2)


def _get_data(settings: Settings, dataset: Dataset, limit: int | None, on_read: OnRead) -> _Data:
    """Return the data set, from memory if it was used recently."""
    key = (dataset, settings.data_dir, limit)
    if key not in _DATA_CACHE:
        if len(_DATA_CACHE) >= _DATA_CACHE.maxsize:
            _DATA_CACHE.popitem()  # evict before loading, so that no more than the maximum is in memory
        _DATA_CACHE[key] = _load_data(settings, dataset, limit, on_read)
    return _DATA_CACHE[key]


def _load_data(settings: Settings, dataset: Dataset, limit: int | None, on_read: OnRead) -> _Data:
    if dataset.task == "detection":
        return load_scenes(dataset, settings.data_dir, limit)
    return load(
        dataset,
        settings.data_dir,
        limit,
        readers=settings.thread_count,
        on_read=on_read,
    )


def _complete(settings: Settings, claim: lifecycle.Claim, result: TrialResult) -> None:
    files = artifacts.describe(settings.data_dir, claim.trial.id, claim.token)
    if _write_with_retry(settings, lambda work: lifecycle.complete(work, claim, result, files)):
        log.info("trial %s completed: %.4f", claim.trial.id, result.accuracy)
        artifacts.delete_checkpoints(settings.data_dir, claim.trial.id)
    else:  # keep the checkpoint for the worker that has the trial now
        log.warning("trial %s: the lease was lost; the result is recorded as superseded", claim.trial.id)


def _artifact_folder(settings: Settings, claim: lifecycle.Claim) -> Path:
    return artifacts.attempt_folder(settings.data_dir, claim.trial.id, claim.token)


def _delete_unused_artifacts(settings: Settings, claim: lifecycle.Claim) -> None:
    """Delete the attempt's artifacts unless it has completed the trial."""
    if not _artifact_folder(settings, claim).exists():
        return
    try:
        with UnitOfWork(settings.database) as work:
            artifacts.delete_attempt(work, settings.data_dir, claim.trial.id, claim.token)
    except DatabaseUnavailable:
        log.warning("trial %s: unused artifacts are deleted later, the database is unavailable", claim.trial.id)


def _fail(settings: Settings, heartbeat: Heartbeat, claim: lifecycle.Claim, reason: str) -> None:
    log.warning("trial %s failed: %s", claim.trial.id, reason)
    _write_with_retry(settings, lambda work: lifecycle.fail(work, claim, reason, heartbeat.log_tail.lines()))


def _record_stop(settings: Settings, claim: lifecycle.Claim, reason: StopReason | None) -> None:
    log.info("trial %s stopped: %s", claim.trial.id, reason)
    if reason is StopReason.CANCELLED:
        _write_with_retry(settings, lambda work: lifecycle.confirm_cancel(work, claim))
    elif reason is StopReason.STOPPING:
        _write_with_retry(settings, lambda work: lifecycle.release(work, claim))


def _write_with_retry(settings: Settings, write: Callable[[UnitOfWork], bool]) -> bool:
    """Retry a write while the database is unavailable, so that its restart does not lose a finished training."""
    deadline = time.monotonic() + _MAX_RETRY_SECONDS
    while True:
        try:
            with UnitOfWork(settings.database) as work:
                return write(work)
        except DatabaseUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
