"""Images that stay in their files: read by processes of their own, to the same bits as images held in memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.datasets import Dataset
from app.image_folders import describe
from app.recipes import PRESETS, Recipe
from tests.worker.support import CPU, TINY, trained, weights
from tests.worker.test_training import asked, measured, same, stop_at
from worker import folders
from worker.classification import Classification
from worker.datasets import DataError, Splits, load
from worker.training import Stopped, train

CONFIG = replace(TINY, in_chans=3, num_classes=2, resolution=16)
PLAIN = Recipe(epochs=2, batch_size=16, lr=0.01, flip=True, shift=0.1)
PAPERS = PRESETS["tinynet-ra"].model_copy(update={"epochs": 2, "batch_size": 16, "warmup_epochs": 1.0})


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Folder `own`: 60 photographs, noise on a tone by class, of unequal sizes, in two classes."""
    random = np.random.default_rng(0)
    for tone, name in ((60, "cats"), (140, "dogs")):
        place = tmp_path / "datasets" / "own" / name
        place.mkdir(parents=True)
        for n in range(30):
            pixels = random.normal(tone, 30, (20 + n % 7, 24, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{n:02}.jpg", quality=95)
    return tmp_path


@pytest.fixture
def dataset(data_dir: Path) -> Dataset:
    return describe("own", "own", 20, data_dir)


def streamed(dataset: Dataset, data_dir: Path, limit: int | None = None) -> Splits:
    splits = load(dataset, data_dir, limit, hold_bytes=0)
    assert not splits.train.held
    return splits


def test_what_is_too_large_to_be_held_stays_in_its_files(dataset: Dataset, data_dir: Path) -> None:
    size = 3 * 20 * 20 * 60

    held = load(dataset, data_dir, hold_bytes=size)
    left = load(dataset, data_dir, hold_bytes=size - 1)

    assert (held.train.held, left.train.held) == (True, False)
    for name, part in held.parts.items():
        assert torch.equal(left.parts[name].pixels[:], part.pixels[:])
        assert torch.equal(left.parts[name].labels, part.labels)
    assert left.split_digest == held.split_digest


def test_a_small_choice_of_a_large_set_is_held(dataset: Dataset, data_dir: Path) -> None:
    assert load(dataset, data_dir, limit=20, hold_bytes=3 * 20 * 20 * 50).train.held


@pytest.mark.parametrize(("recipe", "loaders"), [(PLAIN, 0), (PAPERS, 2)], ids=["by the batch", "the paper's"])
def test_streamed_it_is_trained_to_the_same_bits(
    recipe: Recipe, loaders: int, dataset: Dataset, data_dir: Path, tmp_path: Path
) -> None:
    held = trained(tmp_path / "held", recipe, config=CONFIG, splits=load(dataset, data_dir))

    result = trained(tmp_path / "files", recipe, config=CONFIG, splits=streamed(dataset, data_dir), loaders=loaders)

    assert measured(result) == measured(held)
    assert same(weights(tmp_path / "files"), weights(tmp_path / "held"))


def test_stopped_while_streaming_it_goes_on_to_the_same_bits(dataset: Dataset, data_dir: Path, tmp_path: Path) -> None:
    splits = streamed(dataset, data_dir)
    through = trained(tmp_path / "through", PLAIN, config=CONFIG, splits=splits, loaders=0)
    at = stop_at(asked(len(splits.train), PLAIN) + 2)
    with pytest.raises(Stopped):
        trained(tmp_path / "stopped", PLAIN, config=CONFIG, splits=splits, should_stop=at, loaders=1)

    resumed = trained(tmp_path / "stopped", PLAIN, config=CONFIG, splits=splits, loaders=0)

    assert measured(resumed) == measured(through)


def test_a_file_that_is_damaged_while_it_is_trained_on_is_named(
    dataset: Dataset, data_dir: Path, tmp_path: Path
) -> None:
    task = Classification(CONFIG, PLAIN, streamed(dataset, data_dir), CPU)
    for file in (data_dir / "datasets" / "own" / "dogs").iterdir():
        file.write_bytes(file.read_bytes()[:200])

    with pytest.raises(DataError, match=r"^own/dogs/\d+\.jpg is no image that can be read"):
        train(task, PLAIN, 0, device=CPU, folder=tmp_path, on_progress=lambda progress: None, should_stop=lambda: False)


class TestReading:
    def test_files_that_have_not_changed_are_checked_once(
        self, dataset: Dataset, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = load(dataset, data_dir)
        monkeypatch.setattr(folders, "decoded", lambda *_: pytest.fail("read again"))

        assert load(dataset, data_dir).split_digest == before.split_digest

    @pytest.mark.parametrize("damage", [b"", b"nothing", b"half"])
    def test_what_was_kept_of_the_check_may_be_lost_or_damaged(
        self, dataset: Dataset, data_dir: Path, damage: bytes
    ) -> None:
        before = load(dataset, data_dir)
        [kept] = (data_dir / "datasets" / ".checked").iterdir()
        kept.write_bytes(kept.read_bytes()[:500] if damage == b"half" else damage)

        assert load(dataset, data_dir).split_digest == before.split_digest

    def test_a_file_replaced_by_one_of_the_same_size_and_time_is_seen(self, dataset: Dataset, data_dir: Path) -> None:
        load(dataset, data_dir)
        file, other = (data_dir / "datasets" / "own" / name for name in ("dogs/00.jpg", "dogs/01.jpg"))
        stat = file.stat()
        content = other.read_bytes()[: stat.st_size]
        file.write_bytes(content + bytes(stat.st_size - len(content)))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

        with pytest.raises(DataError):
            load(dataset, data_dir)

    def test_long_readings_say_how_far_they_are_and_can_be_stopped(
        self, dataset: Dataset, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(folders, "_SAY_EVERY", -1.0)
        monkeypatch.setattr(folders, "_AHEAD", 7)
        said: list[tuple[int, int]] = []

        def stop_after_three(done: int, of: int) -> None:
            said.append((done, of))
            if len(said) == 3:
                raise Stopped

        with pytest.raises(Stopped):
            load(dataset, data_dir, on_read=stop_after_three)

        assert said == [(7, 60), (14, 60), (21, 60)]
