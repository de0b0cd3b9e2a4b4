"""A disk that is really full: the trial fails and says so, nothing on it is damaged, and with room it goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from app.datasets import DIGITS
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.services import artifacts, leases, trials
from app.settings import Settings
from tests.support import absent
from tests.worker.support import TINY
from worker import export
from worker import trials as training
from worker.leases import Heartbeat

RECIPE = Recipe(epochs=3, batch_size=64, train_images=256)
DISK_BYTES = 2_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], capture_output=True)
    if made.returncode:
        absent("the right to mount a small file system (root)")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture
def settings(settings: Settings, disk: Path) -> Settings:
    return settings.model_copy(update={"data_dir": disk})


@pytest.fixture
def run(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[], TrialRow]:
    """Runs what is next in line as a worker does, the same trial each time; its row afterwards."""
    with work() as unit:
        trial_id = trials.request(unit, trials.Plan("tiny", TINY, DIGITS, RECIPE, 0)).id
        unit.commit()

    def run() -> TrialRow:
        with work() as unit:
            if trials.find(unit, trial_id).state == "failed":
                trials.retry(unit, trial_id)
        training.train_trial(settings, Heartbeat(settings, "a test"), trial_id)
        with work() as unit:
            return trials.find(unit, trial_id)

    return run


def fill(disk: Path) -> Path:
    """Leaves no room but for some bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(1 << 12))
        except OSError:
            return filler


def test_without_room_for_a_checkpoint_a_trial_fails_and_goes_on_once_there_is_some(
    run: Callable[[], TrialRow], disk: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, epochs = leases.report, []

    def fill_after_the_first_epoch(work: Any, claim: Any, progress: dict[str, Any], *rest: Any) -> bool:
        epochs.append(progress["epoch"])
        if epochs == [1]:
            fill(disk)
        return report(work, claim, progress, *rest)

    monkeypatch.setattr(leases, "report", fill_after_the_first_epoch)
    monkeypatch.setattr(export, "_SECONDS", 0.05)

    failed = run()

    assert (failed.state, epochs) == ("failed", [1])
    assert failed.error is not None and failed.error.startswith("The disk of the data directory is full: make room")
    place = artifacts.trial_folder(disk, failed.id)
    assert torch.load(place / "checkpoint.pt", weights_only=True)["epoch"] == 1
    assert list(place.glob("*.half")) == []

    (disk / "filler").unlink()
    done = run()

    assert (done.state, epochs) == ("completed", [1, 2, 3])
    assert artifacts.folder(disk, done.id).joinpath("model.onnx").is_file()


def test_without_room_for_what_it_leaves_a_trial_fails_and_retried_only_exports(
    run: Callable[[], TrialRow], disk: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, fillers = [], []
    exported = training.export

    def fill_before(*given: Any) -> Any:
        trained.append(given)
        if len(trained) == 1:
            fillers.append(fill(disk))
        return exported(*given)

    monkeypatch.setattr(training, "export", fill_before)
    monkeypatch.setattr(export, "_SECONDS", 0.05)

    failed = run()

    assert failed.state == "failed"
    assert failed.error is not None and "disk of the data directory is full" in failed.error
    assert failed.result is None
    assert list(artifacts.folder(disk, failed.id).glob("*")) == []

    fillers[0].unlink()
    done = run()

    assert done.state == "completed"
    assert done.result is not None and "export_error" not in done.result
    assert done.result["history"] == trained[0][3]
    assert {file.name for file in artifacts.folder(disk, done.id).iterdir()} == {a.value for a in artifacts.Artifact}
