"""A worker that exports after its lease has expired does not touch the files of the attempt that replaced it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.unit_of_work import UnitOfWork
from app.services.trials import artifacts, lifecycle, reconciliation, requests
from tests.support import claim_trial, expire_lease
from tests.worker.support import TINY
from worker import export, run_trial
from worker.atomic_files import replace_atomically
from worker.heartbeat import Heartbeat
from worker.training.loop import Diverged

Open = Callable[[], UnitOfWork]


@pytest.fixture
def trial_id(work: Open, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)
    recipe = Recipe(epochs=1, batch_size=64, train_images=256)
    with work() as unit:
        trial = requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, recipe, 0))
        unit.commit()
        return trial.id


@pytest.fixture
def replace_attempt(work: Open, settings: Settings, trial_id: str) -> Callable[[], None]:
    """Takes the trial from its worker as after a long pause, and completes it in a second attempt."""

    def replace_attempt() -> None:
        expire_lease(work, trial_id)
        with work() as unit:
            reconciliation.reconcile(unit, settings)
        run_trial.train_next_trial(settings, Heartbeat(settings, "the second"), trial_id)
        with work() as unit:
            assert requests.find(unit, trial_id).state == "completed"

    return replace_attempt


def download(client: TestClient, trial_id: str) -> dict[str, tuple[bytes, str]]:
    """Return the content and the tag of each artifact."""
    answers = {name.value: client.get(f"/v1/trials/{trial_id}/artifacts/{name}") for name in artifacts.Artifact}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {name: (answer.content, answer.headers["etag"]) for name, answer in answers.items()}


def attempt_folders(settings: Settings, trial_id: str) -> list[Path]:
    return list((artifacts.trial_folder(settings.data_dir, trial_id) / "artifacts").iterdir())


def test_late_export_leaves_completed_files_unchanged(
    client: TestClient,
    trial_id: str,
    replace_attempt: Callable[[], None],
    work: Open,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export_files, completed = run_trial.export, {}

    def export_late(config: Any, state: dict[str, torch.Tensor], *rest: Any) -> Any:
        monkeypatch.setattr(run_trial, "export", export_files)
        replace_attempt()
        completed.update(download(client, trial_id))
        zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
        return export_files(config, zeros, *rest)

    monkeypatch.setattr(run_trial, "export", export_late)

    run_trial.train_next_trial(settings, Heartbeat(settings, "the first"), trial_id)

    assert download(client, trial_id) == completed
    for content, tag in completed.values():
        assert tag == f'"{hashlib.sha256(content).hexdigest()}"'
    assert len(attempt_folders(settings, trial_id)) == 1, "the late files are deleted"
    with work() as unit:
        assert [event.kind for event in unit.events.list_after_each({trial_id: 0}, 1000)].count("superseded") == 1


def test_late_divergence_leaves_completed_files(
    client: TestClient,
    trial_id: str,
    replace_attempt: Callable[[], None],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = run_trial.train

    def diverge_late(*_: Any, **__: Any) -> TrialResult:
        monkeypatch.setattr(run_trial, "train", train)
        replace_attempt()
        raise Diverged(1, 1)

    monkeypatch.setattr(run_trial, "train", diverge_late)

    run_trial.train_next_trial(settings, Heartbeat(settings, "the first"), trial_id)

    assert set(download(client, trial_id)) == {name.value for name in artifacts.Artifact}


def test_repeated_completion_keeps_its_own_files(
    client: TestClient, trial_id: str, work: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the connection breaks while the database answers the commit, and the worker tries again."""
    complete = lifecycle.complete

    def complete_twice(unit: UnitOfWork, *rest: Any) -> bool:
        assert complete(unit, *rest)
        with work() as again:
            return complete(again, *rest)

    monkeypatch.setattr(lifecycle, "complete", complete_twice)

    run_trial.train_next_trial(settings, Heartbeat(settings, "a test"), trial_id)

    assert set(download(client, trial_id)) == {name.value for name in artifacts.Artifact}


def test_failed_attempt_leaves_no_artifacts(
    trial_id: str, settings: Settings, work: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_trial, "export", fill_disk)

    run_trial.train_next_trial(settings, Heartbeat(settings, "a test"), trial_id)

    with work() as unit:
        assert requests.find(unit, trial_id).state == "failed"
    assert attempt_folders(settings, trial_id) == []


def test_attempts_write_to_different_folders(trial_id: str, work: Open, settings: Settings) -> None:
    first = claim_trial(work, trial_id, settings)
    expire_lease(work, trial_id)
    with work() as unit:
        reconciliation.reconcile(unit, settings)
    second = claim_trial(work, trial_id, settings)

    folders = {artifacts.attempt_folder(settings.data_dir, trial_id, claim.token) for claim in (first, second)}

    assert len(folders) == 2


def test_two_writers_with_one_pid_do_not_collide(tmp_path: Path) -> None:
    """Containers that share a volume have the same process ids."""
    file = tmp_path / "checkpoint.pt"

    with replace_atomically(file) as first:
        first.write(b"first, ")
        with replace_atomically(file) as second:
            second.write(b"second")
        assert file.read_bytes() == b"second"
        first.write(b"whole")

    assert file.read_bytes() == b"first, whole"
    assert os.listdir(tmp_path) == ["checkpoint.pt"]
