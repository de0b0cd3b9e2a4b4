"""Images streamed from their files give bit-identical trainings to images in memory."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.data import image_checks
from app.data.builtin_datasets import Channels, Dataset
from app.data.image_folders import describe, examine
from app.data.recipes import PRESETS, Recipe
from tests.worker.support import CPU, TINY, load_weights, train_small
from tests.worker.test_training import comparable, count_stop_checks, equal_weights, stop_at
from worker.data.loading import DataError, Splits, load
from worker.training.classification import Classification
from worker.training.loop import TrainingStopped, train

CONFIG = replace(TINY, in_chans=3, num_classes=2, resolution=16)
PLAIN = Recipe(epochs=2, batch_size=16, lr=0.01, flip=True, shift=0.1)
PAPER = PRESETS["tinynet-ra"].model_copy(update={"epochs": 2, "batch_size": 16, "warmup_epochs": 1.0})


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Folder `own`: 60 images of unequal sizes in two classes, each noise around the level of its class."""
    rng = np.random.default_rng(0)
    for level, name in ((60, "cats"), (140, "dogs")):
        place = tmp_path / "datasets" / "own" / name
        place.mkdir(parents=True)
        for n in range(30):
            pixels = rng.normal(level, 30, (20 + n % 7, 24, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{n:02}.jpg", quality=95)
    return tmp_path


@pytest.fixture
def dataset(data_dir: Path) -> Dataset:
    return describe("own", "own", 20, data_dir)


def streamed(dataset: Dataset, data_dir: Path, limit: int | None = None) -> Splits:
    splits = load(dataset, data_dir, limit, memory_limit=0)
    assert not splits.train.is_in_memory
    return splits


def test_images_above_memory_limit_stay_in_files(dataset: Dataset, data_dir: Path) -> None:
    size = 3 * 20 * 20 * 60

    in_memory = load(dataset, data_dir, memory_limit=size)
    streamed_splits = load(dataset, data_dir, memory_limit=size - 1)

    assert (in_memory.train.is_in_memory, streamed_splits.train.is_in_memory) == (True, False)
    for name, part in in_memory.parts.items():
        assert torch.equal(streamed_splits.parts[name].pixels[:], part.pixels[:])
        assert torch.equal(streamed_splits.parts[name].labels, part.labels)
    assert streamed_splits.split_digest == in_memory.split_digest


def test_small_selection_of_large_set_is_in_memory(dataset: Dataset, data_dir: Path) -> None:
    assert load(dataset, data_dir, limit=20, memory_limit=3 * 20 * 20 * 50).train.is_in_memory


@pytest.mark.parametrize(
    ("recipe", "loaders"),
    [(PLAIN, 0), pytest.param(PAPER, 2, marks=pytest.mark.exhaustive)],
    ids=["by the batch", "the paper's"],
)
def test_streamed_training_is_bit_identical(
    recipe: Recipe, loaders: int, dataset: Dataset, data_dir: Path, tmp_path: Path
) -> None:
    in_memory = train_small(tmp_path / "in_memory", recipe, config=CONFIG, splits=load(dataset, data_dir))

    result = train_small(tmp_path / "files", recipe, config=CONFIG, splits=streamed(dataset, data_dir), loaders=loaders)

    assert comparable(result) == comparable(in_memory)
    assert equal_weights(load_weights(tmp_path / "files"), load_weights(tmp_path / "in_memory"))


def test_streamed_training_resumes_bit_identically(dataset: Dataset, data_dir: Path, tmp_path: Path) -> None:
    splits = streamed(dataset, data_dir)
    uninterrupted = train_small(tmp_path / "uninterrupted", PLAIN, config=CONFIG, splits=splits, loaders=0)
    at = stop_at(count_stop_checks(len(splits.train), PLAIN) + 2)
    with pytest.raises(TrainingStopped):
        train_small(tmp_path / "stopped", PLAIN, config=CONFIG, splits=splits, should_stop=at, loaders=1)

    resumed = train_small(tmp_path / "stopped", PLAIN, config=CONFIG, splits=splits, loaders=0)

    assert comparable(resumed) == comparable(uninterrupted)


@pytest.mark.parametrize(
    ("mode", "asked", "recipe"),
    [
        pytest.param("L", None, PAPER, id="grey"),
        pytest.param("RGBA", 4, PLAIN.model_copy(update={"crop": 0.5}), id="opacity"),
    ],
)
def test_network_has_the_channels_of_the_images(
    mode: str, asked: Channels | None, recipe: Recipe, data_dir: Path, tmp_path: Path
) -> None:
    folder = data_dir / "datasets" / "own"
    for number, file in enumerate(sorted(folder.rglob("*.jpg"))):
        image = Image.open(file).convert(mode)
        if mode == "RGBA":
            image.putalpha(100 + number)
        image.save(file.with_suffix(".png"))
        file.unlink()
    dataset = examine("own", "own", 20, data_dir, channels=asked).dataset
    config = replace(CONFIG, in_chans=len(mode))

    result = train_small(tmp_path, recipe, config=config, splits=streamed(dataset, data_dir), loaders=0)

    assert dataset.in_chans == len(mode)
    assert dataset.digest != examine("own", "own", 20, data_dir, channels=3).dataset.digest
    means = result.environment["normalisation"]["mean"]
    assert len(means) == len(mode)
    assert min(means) > 60


def test_file_damaged_during_training_is_named(dataset: Dataset, data_dir: Path, tmp_path: Path) -> None:
    task = Classification(CONFIG, PLAIN, streamed(dataset, data_dir), CPU)
    for file in (data_dir / "datasets" / "own" / "dogs").iterdir():
        file.write_bytes(file.read_bytes()[:200])

    with pytest.raises(DataError, match=r"^own/dogs/\d+\.jpg cannot be read as an image"):
        train(
            task,
            PLAIN,
            0,
            device=CPU,
            folder=tmp_path,
            weights_file=tmp_path / "weights.pt",
            on_progress=lambda progress: None,
            should_stop=lambda: False,
        )


class TestReading:
    def test_files_are_hashed_once_for_registration_and_training(
        self, dataset: Dataset, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = load(dataset, data_dir)
        monkeypatch.setattr(image_checks, "decode_cropped", lambda *_: pytest.fail("hashed again"))

        assert load(dataset, data_dir).split_digest == before.split_digest

    @pytest.mark.parametrize("damage", [b"", b"garbage", b"truncated"])
    def test_damaged_hash_cache_is_rebuilt(self, dataset: Dataset, data_dir: Path, damage: bytes) -> None:
        before = load(dataset, data_dir)
        [cache] = (data_dir / "datasets" / ".checked").iterdir()
        cache.write_bytes(cache.read_bytes()[:500] if damage == b"truncated" else damage)

        assert load(dataset, data_dir).split_digest == before.split_digest

    def test_replaced_file_of_same_size_and_time_is_detected(self, dataset: Dataset, data_dir: Path) -> None:
        load(dataset, data_dir)
        file, other = (data_dir / "datasets" / "own" / name for name in ("dogs/00.jpg", "dogs/01.jpg"))
        stat = file.stat()
        content = other.read_bytes()[: stat.st_size]
        file.write_bytes(content + bytes(stat.st_size - len(content)))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

        with pytest.raises(DataError):
            load(dataset, data_dir)

    def test_reading_reports_progress_and_can_be_stopped(
        self, dataset: Dataset, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(image_checks, "_PROGRESS_SECONDS", -1.0)
        monkeypatch.setattr(image_checks, "_CHUNK_FILES", 7)
        shutil.rmtree(data_dir / "datasets" / ".checked")  # as registered
        reports: list[tuple[int, int]] = []

        def stop_after_three(done: int, of: int) -> None:
            reports.append((done, of))
            if len(reports) == 3:
                raise TrainingStopped

        with pytest.raises(TrainingStopped):
            load(dataset, data_dir, on_read=stop_after_three)

        assert reports == [(7, 60), (14, 60), (21, 60)]
