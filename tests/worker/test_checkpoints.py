"""A checkpoint is whole or none."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from worker import checkpoints

STATE: dict[str, Any] = {"weights": torch.arange(1000.0), "epoch": 3, "history": [{"loss": 0.5}], "ema": None}


def damaged(how: str, whole: bytes) -> bytes:
    middle = len(whole) // 2
    return {
        "empty": b"",
        "cut off": whole[:middle],
        "one bit flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "zeros in the middle": whole[: middle - 512] + bytes(1024) + whole[middle + 512 :],
        "something else": b"hello world" * 50,
        "a pickle of code": pickle.dumps(print),
    }[how]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "new" / "checkpoint.pt", STATE)

    loaded = checkpoints.load(tmp_path / "new" / "checkpoint.pt")

    assert loaded is not None
    assert torch.equal(loaded.pop("weights"), STATE["weights"])
    assert loaded == {name: value for name, value in STATE.items() if name != "weights"}


def test_where_there_is_none_nothing_is_loaded(tmp_path: Path) -> None:
    assert checkpoints.load(tmp_path / "checkpoint.pt") is None


@pytest.mark.parametrize(
    "how", ["empty", "cut off", "one bit flipped", "zeros in the middle", "something else", "a pickle of code"]
)
def test_a_damaged_file_counts_as_none_and_is_logged(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "checkpoint.pt"
    checkpoints.save(file, STATE)
    file.write_bytes(damaged(how, file.read_bytes()))

    with caplog.at_level(logging.WARNING):
        assert checkpoints.load(file) is None

    assert "checkpoint.pt is damaged" in caplog.text


def test_a_write_that_fails_leaves_the_file_before_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    checkpoints.save(file, STATE)

    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoints.save(file, {"weights": torch.zeros(1000), "unpicklable": lambda: None})

    loaded = checkpoints.load(file)
    assert loaded is not None
    assert loaded["epoch"] == 3
    assert [f.name for f in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("how", ["empty", "cut off", "one bit flipped", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, how: str) -> None:
    file = tmp_path / "checkpoint.pt"
    for epoch in (1, 2, 3):
        checkpoints.save(file, {**STATE, "epoch": epoch}, keep_before=True)
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(damaged(how, file.read_bytes()))

    loaded = checkpoints.load(file)

    assert loaded is not None
    assert loaded["epoch"] == 2
