"""On a full disk a trial fails with the reason and without damage, and resumes once there is space."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from app.core.settings import Settings
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials import artifacts, lifecycle, requests
from tests.support import skip_without
from tests.worker.support import TINY
from worker import export, run_trial
from worker.heartbeat import Heartbeat

RECIPE = Recipe(epochs=3, batch_size=64, train_images=256)
DISK_BYTES = 2_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], capture_output=True)
    if made.returncode:
        skip_without("the right to mount a small file system (root)")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture
def settings(settings: Settings, disk: Path) -> Settings:
    return settings.model_copy(update={"data_dir": disk})


@pytest.fixture
def run(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[], TrialRow]:
    """Runs one trial as a worker does, retrying it if it has failed, and returns its row."""
    with work() as unit:
        trial_id = requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, RECIPE, 0)).id
        unit.commit()

    def run() -> TrialRow:
        with work() as unit:
            if requests.find(unit, trial_id).state == "failed":
                requests.retry(unit, trial_id)
        run_trial.train_next_trial(settings, Heartbeat(settings, "a test"), trial_id)
        with work() as unit:
            return requests.find(unit, trial_id)

    return run


def fill(disk: Path) -> Path:
    """Fill the disk and return the file that does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(1 << 12))
        except OSError:
            return filler


def test_trial_resumes_after_full_disk_at_checkpoint(
    run: Callable[[], TrialRow], disk: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, epochs = lifecycle.report, []

    def fill_after_the_first_epoch(work: Any, claim: Any, progress: Any, *rest: Any) -> bool:
        epochs.append(progress.epoch)
        if epochs == [1]:
            fill(disk)
        return report(work, claim, progress, *rest)

    monkeypatch.setattr(lifecycle, "report", fill_after_the_first_epoch)
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)

    failed = run()

    assert (failed.state, epochs) == ("failed", [1])
    assert failed.error is not None and failed.error.startswith(
        "The disk of the data directory is full: free some space"
    )
    place = artifacts.trial_folder(disk, failed.id)
    assert torch.load(place / "checkpoint.pt", weights_only=True)["epoch"] == 1
    assert list(place.glob("*.tmp")) == []

    (disk / "filler").unlink()
    done = run()

    assert (done.state, epochs) == ("completed", [1, 2, 3])
    assert done.artifacts is not None and "model.onnx" in done.artifacts.files


def test_trial_only_exports_after_full_disk_at_export(
    run: Callable[[], TrialRow], disk: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports, fillers = [], []
    export_files = run_trial.export

    def fill_disk_first(*arguments: Any) -> Any:
        exports.append(arguments)
        if len(exports) == 1:
            fillers.append(fill(disk))
        return export_files(*arguments)

    monkeypatch.setattr(run_trial, "export", fill_disk_first)
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)

    failed = run()

    assert failed.state == "failed"
    assert failed.error is not None and "disk of the data directory is full" in failed.error
    assert failed.result is None
    assert list(artifacts.artifact_folder(disk, failed.id).glob("*")) == []

    fillers[0].unlink()
    done = run()

    assert done.state == "completed"
    assert done.result is not None and done.result.export_error is None
    assert done.result.history == exports[0][3]
    assert done.artifacts is not None
    assert set(done.artifacts.files) == {a.value for a in artifacts.Artifact}
