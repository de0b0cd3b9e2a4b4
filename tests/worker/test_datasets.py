"""Data sets are read, split without duplicates, and rejected if they are damaged or changed."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from app.data.builtin_datasets import DIGITS, FASHION_MNIST, IDX_FILES, Dataset
from app.data.folder_scan import FolderError
from app.data.image_folders import describe
from tests.support import DATA_DIR
from tests.worker.support import digits, fashion_mnist
from worker.data.image_store import Images
from worker.data.loading import DataError, Splits, load

ORIENTATION, ROTATED_CLOCKWISE = 0x0112, 6  # EXIF: rotate the image clockwise to show it upright


def parts(splits: Splits) -> tuple[Images, Images, Images]:
    return splits.train, splits.validation, splits.test


def every_image(parts: Iterable[Images]) -> Counter[bytes]:
    return Counter(pixels.numpy().tobytes() for part in parts for pixels in part.pixels)


def per_class(part: Images) -> list[int]:
    return torch.bincount(part.labels).tolist()


def test_parts_of_digits_are_disjoint_and_complete() -> None:
    splits = digits()

    assert len(splits.test) == DIGITS.test_images == 360
    assert len(splits.train) + len(splits.validation) == DIGITS.train_images == 1437
    whole = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    assert every_image(parts(splits)) == Counter(image.tobytes() for image in whole)


def test_digits_are_grey_uint8_with_labels() -> None:
    train = digits().train

    assert (train.pixels.dtype, train.labels.dtype) == (torch.uint8, torch.int64)
    assert train.pixels.shape == (len(train), 1, 8, 8)
    assert train.pixels.max() == 255


def test_parts_have_equal_shares_of_classes() -> None:
    whole = np.bincount(load_digits().target)

    for part in parts(digits()):
        share = len(part) / 1797
        assert all(abs(n - share * of) <= 1.5 for n, of in zip(per_class(part), whole, strict=True))


def test_loading_twice_gives_same_parts() -> None:
    for one, other in zip(parts(digits(200)), parts(digits(200)), strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)


def test_limit_selects_balanced_training_images_only() -> None:
    whole, limited = digits(), digits(200)

    assert len(limited.train) == 200
    assert all(18 <= n <= 22 for n in per_class(limited.train))
    assert every_image([limited.train]) <= every_image([whole.train])
    assert torch.equal(limited.validation.pixels, whole.validation.pixels)
    assert torch.equal(limited.test.pixels, whole.test.pixels)


def test_limit_above_training_images_takes_all() -> None:
    assert torch.equal(digits(1_000_000).train.pixels, digits().train.pixels)


def test_fashion_mnist_keeps_its_test_part() -> None:
    splits = fashion_mnist()

    assert [len(part) for part in parts(splits)] == [54_000, 6_000, 10_000]
    assert [per_class(part) for part in parts(splits)] == [[5_400] * 10, [600] * 10, [1_000] * 10]
    assert splits.test.labels[:5].tolist() == [9, 2, 1, 1, 6]
    assert splits.train.pixels.shape[1:] == (1, 28, 28)


def test_limited_fashion_mnist_is_balanced() -> None:
    assert per_class(fashion_mnist(10_000).train) == [1_000] * 10


@pytest.mark.parametrize("dataset", [FASHION_MNIST, DIGITS], ids=lambda d: d.name)
def test_images_with_wrong_digest_are_rejected(dataset: Dataset) -> None:
    if dataset is FASHION_MNIST:
        fashion_mnist(20)

    with pytest.raises(DataError, match="have changed"):
        load(replace(dataset, digest="0" * 64), DATA_DIR)


class TestIdxFiles:
    """Fashion-MNIST's files in a temporary folder."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(
            "app.data.builtin_datasets.fashion_mnist_folders", lambda data_dir: [tmp_path / "empty", data_dir]
        )
        for name in IDX_FILES:
            shape = (20, 28, 28) if "images" in name else (20,)
            head = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
            (tmp_path / name).write_bytes(gzip.compress(head + bytes(int(np.prod(shape)))))
        return tmp_path

    def test_files_of_another_set_are_rejected_with_remedy(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"have changed .*: run `python -m worker\.data\.fetch fashion-mnist`"):
            load(FASHION_MNIST, folder)

    @pytest.mark.parametrize("name", IDX_FILES)
    def test_missing_file_is_reported_with_remedy(self, name: str, folder: Path) -> None:
        (folder / name).unlink()

        with pytest.raises(
            DataError, match=r"is not on this machine: run `python -m worker\.data\.fetch fashion-mnist`"
        ):
            load(FASHION_MNIST, folder)

    @pytest.mark.parametrize("content", [b"", b"hello", gzip.compress(b"hello", mtime=0), gzip.compress(b"", mtime=0)])
    def test_invalid_file_is_named(self, content: bytes, folder: Path) -> None:
        (folder / IDX_FILES[0]).write_bytes(content)

        with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is damaged"):
            load(FASHION_MNIST, folder)

    @pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
    def test_damaged_file_is_named(self, at: float, folder: Path) -> None:
        file = folder / IDX_FILES[2]
        whole = file.read_bytes()
        place = int(at * len(whole))
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])

        with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is damaged|have changed"):
            load(FASHION_MNIST, folder)


class TestFolders:
    """Users' own images, in ImageFolder layout."""

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        """Folder `own` with 20 distinct images in each of two classes."""
        self.fill(tmp_path / "datasets" / "own", 20)
        return tmp_path

    @staticmethod
    def fill(place: Path, n: int, first_tone: int = 0) -> None:
        for shift, name in enumerate(("cats", "dogs")):
            (place / name).mkdir(parents=True)
            for i in range(n):
                tone = (first_tone + i, 100 * shift, 7)
                Image.new("RGB", (12, 12), tone).save(place / name / f"{i:03}.png")

    @staticmethod
    def own(data_dir: Path, native_px: int = 8) -> Dataset:
        return describe("own", "own", native_px, data_dir)

    def test_fifth_of_folder_is_held_out_for_test(self, data_dir: Path) -> None:
        dataset = self.own(data_dir)

        splits = load(dataset, data_dir)

        assert [per_class(part) for part in parts(splits)] == [[15, 14], [1, 2], [4, 4]]
        assert (dataset.num_classes, dataset.train_images, dataset.test_images) == (2, 32, 8)
        assert len(every_image(parts(splits))) == 40

    @pytest.mark.parametrize("name", ["test", "val"])
    def test_test_folder_is_used_unchanged(self, name: str, data_dir: Path) -> None:
        place = data_dir / "datasets" / "own"
        self.fill(place / "train", 10)
        self.fill(place / name, 3, first_tone=200)
        dataset = self.own(data_dir)

        splits = load(dataset, data_dir)

        assert (dataset.train_images, dataset.test_images) == (20, 6)
        assert len(splits.train) + len(splits.validation) == 20
        assert splits.test.pixels[:, 0].amin() >= 200
        assert splits.test.labels.tolist() == [0, 0, 0, 1, 1, 1]

    def test_folders_of_three_parts_are_used(self, data_dir: Path) -> None:
        place = data_dir / "datasets" / "own"
        for n, name in enumerate(("train", "val", "test")):
            self.fill(place / name, 10 - n, first_tone=50 * n)
        dataset = self.own(data_dir)

        splits = load(dataset, data_dir)

        assert (dataset.train_images, dataset.test_images) == (20 + 18, 16)
        assert [len(part) for part in parts(splits)] == [20, 18, 16]
        assert [int(part.pixels[:, 0].amin()) for part in parts(splits)] == [0, 50, 100]

    def test_imagenets_unlabelled_test_images_are_ignored(self, data_dir: Path) -> None:
        place = data_dir / "datasets" / "own"
        self.fill(place / "train", 10)
        self.fill(place / "val", 5, first_tone=100)
        (place / "test").mkdir()
        Image.new("RGB", (12, 12), "white").save(place / "test" / "ILSVRC2012_test_00000001.JPEG")
        dataset = self.own(data_dir)

        splits = load(dataset, data_dir)

        assert (dataset.train_images, dataset.test_images) == (20, 10)
        assert [len(part) for part in parts(splits)] == [18, 2, 10]
        assert int(splits.test.pixels[:, 0].amin()) == 100

    @pytest.mark.parametrize(("own", "other"), [("test", "train"), ("val", "train"), ("test", "val")])
    @pytest.mark.parametrize("how", ["copied", "renamed", "saved again", "in another class"])
    def test_duplicate_across_parts_is_kept_in_one(self, own: str, other: str, how: str, data_dir: Path) -> None:
        place = data_dir / "datasets" / "own"
        for n, name in enumerate(("train", "val", "test")):
            self.fill(place / name, 10, first_tone=50 * n)
        planted = place / other / "cats" / "003.png"
        into = place / own / ("dogs" if how == "in another class" else "cats")
        if how == "saved again":
            Image.open(planted).save(into / "planted.png", compress_level=0)
            assert (into / "planted.png").read_bytes() != planted.read_bytes()
        else:
            shutil.copy(planted, into / ("planted.png" if how == "copied" else "renamed.png"))

        splits = load(self.own(data_dir), data_dir)

        expected = {"train": 20, "val": 20, "test": 20}
        expected[own] += 1
        expected[other] -= 1
        assert [len(part) for part in parts(splits)] == list(expected.values())
        assert splits.duplicates == 1
        seen = [set(every_image([part])) for part in parts(splits)]
        assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])

    def test_duplicates_stay_in_one_part_when_held_out(self, data_dir: Path) -> None:
        place = data_dir / "datasets" / "own"
        for name in ("cats", "dogs"):
            for file in list((place / name).iterdir()):
                shutil.copy(file, place / name / f"copy-{file.name}")

        splits = load(self.own(data_dir), data_dir)

        seen = [set(every_image([part])) for part in parts(splits)]
        assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])
        assert all(set(part.labels.tolist()) == {0, 1} for part in parts(splits))

    def test_identical_train_and_test_images_are_rejected(self, data_dir: Path) -> None:
        place = data_dir / "datasets" / "own"
        self.fill(place / "train", 10)
        self.fill(place / "test", 10)

        with pytest.raises(DataError, match="2 of its 2 classes have no training image"):
            load(self.own(data_dir), data_dir)

    def test_image_is_cropped_to_centre_square(self, data_dir: Path) -> None:
        wide = Image.new("RGB", (60, 20), "red")
        wide.paste("blue", (20, 0, 40, 20))

        assert set(map(tuple, self.load_one(data_dir, wide).reshape(-1, 3).tolist())) == {(0, 0, 255)}

    def test_photo_is_rotated_as_exif_says(self, data_dir: Path) -> None:
        lying = Image.new("RGB", (20, 20), "red")
        lying.paste("blue", (0, 0, 20, 10))  # the upper half is the right half of the upright image
        exif = lying.getexif()
        exif[ORIENTATION] = ROTATED_CLOCKWISE
        lying.save(data_dir / "lying.png", exif=exif)

        pixels = self.load_one(data_dir, data_dir / "lying.png")

        assert (tuple(pixels[4, 0]), tuple(pixels[4, 7])) == ((255, 0, 0), (0, 0, 255))

    def test_photo_with_damaged_exif_is_read(self, data_dir: Path) -> None:
        Image.new("RGB", (20, 20), "blue").save(data_dir / "odd.png", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")

        assert self.load_one(data_dir, data_dir / "odd.png").any()

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
    def test_images_of_any_mode_become_rgb(self, mode: str, data_dir: Path) -> None:
        image = Image.new("L", (9, 9), 255).convert("I").convert(mode) if mode == "I;16" else Image.new(mode, (9, 9))

        self.load_one(data_dir, image, ".tif" if mode == "CMYK" else ".png")

    def load_one(self, data_dir: Path, image: Image.Image | Path, suffix: str = ".png") -> NDArray[np.uint8]:
        """Return the pixels [px, px, 3] of the image as loaded, by comparing the set with and without it."""
        before = every_image(parts(load(self.own(data_dir), data_dir)))
        file = data_dir / "datasets" / "own" / "cats" / f"another{suffix}"
        if isinstance(image, Path):
            shutil.copy(image, file)
        else:
            image.save(file)
        [new] = every_image(parts(load(self.own(data_dir), data_dir))) - before
        return np.frombuffer(new, np.uint8).reshape(3, 8, 8).transpose(1, 2, 0)

    @pytest.mark.parametrize("content", ["empty", "text", "truncated", "a folder", "a link to nowhere"])
    @pytest.mark.parametrize("part", ["", "train/", "test/"])
    def test_invalid_image_file_is_rejected_by_name(self, content: str, part: str, tmp_path: Path) -> None:
        place = tmp_path / "datasets" / "own"
        for filled in {"": [""], "train/": ["train", "test"], "test/": ["train", "test"]}[part]:
            self.fill(place / filled, 6)
        self.own(tmp_path)
        file = place / f"{part}dogs" / "003.png"
        head = file.read_bytes()[:30]
        file.unlink()
        if content == "a folder":
            file.mkdir()
        elif content == "a link to nowhere":
            file.symlink_to("nowhere")
        else:
            file.write_bytes({"empty": b"", "text": b"no image", "truncated": head}[content])

        why = "does not exist, or is a broken link" if content == "a link to nowhere" else "cannot be read as an image"
        with pytest.raises(FolderError, match=f"'{part}dogs/003.png' of 'own' {why}"):
            self.own(tmp_path)

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("made", ["a pipe", "a link to itself"])
    @pytest.mark.parametrize("memory_limit", [0, 1 << 30])
    def test_file_replaced_by_special_file_is_never_opened(self, made: str, memory_limit: int, data_dir: Path) -> None:
        dataset = self.own(data_dir)
        load(dataset, data_dir)
        file = data_dir / "datasets" / "own" / "dogs" / "003.png"
        file.unlink()
        if made == "a pipe":
            os.mkfifo(file)
        else:
            file.symlink_to("003.png")

        with pytest.raises(DataError, match=r"^own/dogs/003\.png cannot be read as an image"):
            load(dataset, data_dir, memory_limit=memory_limit)

    @pytest.mark.timeout(60)
    def test_streamed_image_replaced_by_pipe_is_named(self, data_dir: Path) -> None:
        streamed = load(self.own(data_dir), data_dir, memory_limit=0).train
        for file in (data_dir / "datasets" / "own").rglob("*.png"):
            file.unlink()
            os.mkfifo(file)

        with pytest.raises(DataError, match="cannot be read as an image"):
            streamed.pixels[:1]

    def test_file_name_may_be_invalid_utf_8(self, data_dir: Path) -> None:
        named = os.fsencode(data_dir / "datasets" / "own" / "cats") + b"/gr\xfcn.png"
        Image.new("RGB", (12, 12), "green").save(os.fsdecode(named))

        assert sum(map(len, parts(load(self.own(data_dir), data_dir)))) == 41

    def test_folder_replaced_by_link_loop_is_named(self, data_dir: Path) -> None:
        dataset = self.own(data_dir)
        shutil.rmtree(data_dir / "datasets" / "own")
        (data_dir / "datasets" / "own").symlink_to("own")

        with pytest.raises(DataError, match=r"^'own' is a loop of symbolic links"):
            load(dataset, data_dir)

    @pytest.mark.parametrize("damage", ["truncated", "broken chunk"])
    def test_damaged_image_is_refused_at_registration_and_before_training(self, damage: str, data_dir: Path) -> None:
        dataset = self.own(data_dir)
        file = data_dir / "datasets" / "own" / "dogs" / "003.png"
        whole = file.read_bytes()
        at = whole.index(b"IDAT") + 8
        file.write_bytes(whole[:at] if damage == "truncated" else whole[:at] + b"!!" + whole[at + 2 :])

        with pytest.raises(FolderError, match=r"^'dogs/003\.png' of 'own' cannot be read as an image"):
            self.own(data_dir)
        with pytest.raises(DataError, match=r"^own/dogs/003\.png cannot be read as an image"):
            load(dataset, data_dir)

    def test_all_damaged_images_are_counted_at_once(self, data_dir: Path) -> None:
        for file in (data_dir / "datasets" / "own").rglob("*.png"):
            file.write_bytes(file.read_bytes()[:40])

        with pytest.raises(FolderError, match=r"^40 of 40 files of 'own' cannot be read as images: .* and 35 more"):
            self.own(data_dir)

    def test_changed_images_are_rejected(self, data_dir: Path) -> None:
        dataset = self.own(data_dir)
        Image.new("RGB", (12, 12), "white").save(data_dir / "datasets" / "own" / "cats" / "000.png")

        with pytest.raises(DataError, match="restore them, or register the folder under another name"):
            load(dataset, data_dir)

    def test_missing_folder_is_named(self, data_dir: Path) -> None:
        dataset = self.own(data_dir)
        (data_dir / "datasets" / "own").rename(data_dir / "datasets" / "away")

        with pytest.raises(DataError, match="no folder 'own'"):
            load(dataset, data_dir)

    def test_digest_depends_on_native_size(self, data_dir: Path) -> None:
        assert self.own(data_dir, 8).digest != self.own(data_dir, 16).digest

    def test_digest_depends_on_class_of_image(self, data_dir: Path) -> None:
        before = self.own(data_dir).digest
        place = data_dir / "datasets" / "own"
        (place / "cats" / "000.png").rename(place / "dogs" / "999.png")

        assert self.own(data_dir).digest != before

    @pytest.mark.parametrize("folder", ["..", "../datasets", "../../etc", "/etc", ".", "", "absent"])
    def test_folders_outside_data_root_or_missing_are_rejected(self, folder: str, data_dir: Path) -> None:
        with pytest.raises(FolderError):
            describe("own", folder, 64, data_dir)
        with pytest.raises(DataError):
            load(replace(self.own(data_dir), folder=folder), data_dir)

    def test_link_out_of_data_root_is_rejected(self, data_dir: Path) -> None:
        self.fill(data_dir / "elsewhere", 10)
        (data_dir / "datasets" / "link").symlink_to(data_dir / "elsewhere")

        with pytest.raises(FolderError, match="outside of the data root"):
            describe("own", "link", 64, data_dir)

    @pytest.mark.parametrize("classes", [[], ["cats"]])
    def test_fewer_than_two_classes_are_rejected(self, classes: list[str], tmp_path: Path) -> None:
        place = tmp_path / "datasets" / "own"
        place.mkdir(parents=True)
        for name in classes:
            (place / name).mkdir()

        with pytest.raises(FolderError, match="at least 2 are needed"):
            self.own(tmp_path)

    def test_class_without_images_is_rejected(self, data_dir: Path) -> None:
        (data_dir / "datasets" / "own" / "birds").mkdir()

        with pytest.raises(FolderError, match="'birds' of 'own' has 0 images"):
            self.own(data_dir)

    def test_test_part_without_images_is_rejected(self, data_dir: Path) -> None:
        place = data_dir / "datasets" / "own"
        self.fill(place / "train", 10)
        (place / "test" / "cats").mkdir(parents=True)

        with pytest.raises(FolderError, match="'test' of 'own' has no images"):
            self.own(data_dir)
