"""A checkpoint is complete or ignored."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from worker.training import checkpoints

STATE: dict[str, Any] = {"weights": torch.arange(1000.0), "epoch": 3, "history": [{"loss": 0.5}], "ema": None}


def damage(kind: str, content: bytes) -> bytes:
    middle = len(content) // 2
    return {
        "empty": b"",
        "truncated": content[:middle],
        "one bit flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "zeros in the middle": content[: middle - 512] + bytes(1024) + content[middle + 512 :],
        "something else": b"hello world" * 50,
        "a pickle of code": pickle.dumps(print),
    }[kind]


def test_saved_state_is_loaded(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "new" / "checkpoint.pt", STATE)

    loaded = checkpoints.load(tmp_path / "new" / "checkpoint.pt")

    assert loaded is not None
    assert torch.equal(loaded.pop("weights"), STATE["weights"])
    assert loaded == {name: value for name, value in STATE.items() if name != "weights"}


def test_missing_checkpoint_loads_none(tmp_path: Path) -> None:
    assert checkpoints.load(tmp_path / "checkpoint.pt") is None


@pytest.mark.parametrize(
    "kind", ["empty", "truncated", "one bit flipped", "zeros in the middle", "something else", "a pickle of code"]
)
def test_damaged_checkpoint_is_ignored_and_logged(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "checkpoint.pt"
    checkpoints.save(file, STATE)
    file.write_bytes(damage(kind, file.read_bytes()))

    with caplog.at_level(logging.WARNING):
        assert checkpoints.load(file) is None

    assert "checkpoint.pt is damaged" in caplog.text


def test_failed_write_keeps_previous_checkpoint_only(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    checkpoints.save(file, STATE)

    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoints.save(file, {"weights": torch.zeros(1000), "unpicklable": lambda: None})

    loaded = checkpoints.load(file)
    assert loaded is not None
    assert loaded["epoch"] == 3
    assert [f.name for f in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("kind", ["empty", "truncated", "one bit flipped", "gone"])
def test_damaged_checkpoint_is_replaced_by_previous(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "checkpoint.pt"
    for epoch in (1, 2, 3):
        checkpoints.save(file, {**STATE, "epoch": epoch}, keep_previous=True)
    if kind == "gone":
        file.unlink()
    else:
        file.write_bytes(damage(kind, file.read_bytes()))

    loaded = checkpoints.load(file)

    assert loaded is not None
    assert loaded["epoch"] == 2
