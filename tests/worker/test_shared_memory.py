"""Batches that do not fit in shared memory are reported before loader processes hang."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.data.recipes import Recipe
from tests.support import skip_without
from tests.worker.support import digits
from worker.data import shared_memory
from worker.data.augmentation import Augmentation
from worker.data.batches import BatchLoader, BatchRequest
from worker.data.image_store import DataError
from worker.data.preprocessing import NetworkInputs, Normalisation


@pytest.fixture
def one_megabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Shared memory as small as that of a container with little of it."""
    place = tmp_path / "shm"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if made.returncode:
        skip_without("the right to mount a small file system (root)")
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", place)
    yield place
    subprocess.run(["umount", place], check=True)


def make_loader(batch_size: int) -> BatchLoader:
    splits = digits(200)
    normalisation = Normalisation.from_images(splits.train, 3)
    parts = {name: NetworkInputs(part, 3, 8, normalisation) for name, part in splits.parts.items()}
    augmentation = Augmentation(parts["train"], Recipe(batch_size=batch_size))
    return BatchLoader(parts, augmentation, 1, batch_size, pin_memory=False)


def test_batches_too_large_for_shared_memory_are_reported(one_megabyte: Path) -> None:
    with pytest.raises(DataError) as error:
        make_loader(512)

    assert str(error.value).startswith("3 batches of 1 loader processes need 1.2 MB of shared memory")
    assert "--shm-size" in str(error.value)


@pytest.mark.exhaustive
def test_batches_that_fit_are_loaded() -> None:
    loader = make_loader(512)

    ((images, _),) = loader.batches([BatchRequest("train", slice(0, 4))])

    assert images.shape == (4, 3, 8, 8)
