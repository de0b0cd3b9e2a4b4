"""Folders of images in ImageFolder layout below the data root: what is in one, and its digest.

Layout: `train/<class>/*` and `test/<class>/*` (or `val/`), or `<class>/*` alone; then a share is held out for testing.
"""

from __future__ import annotations

import hashlib
from itertools import chain
from pathlib import Path

from PIL import Image

from app.datasets import Dataset, held_out

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # all that PIL raises
_CHUNK = 1 << 20
_LARGEST = 8 * 10**9  # bytes: a worker holds a set whole, as uint8


class FolderError(ValueError):
    """The folder cannot be trained on; the message says why and names no path outside of the data root."""


def root(data_dir: Path) -> Path:
    """The data root: registered folders lie below it."""
    return data_dir / "datasets"


def located(folder: str, data_dir: Path) -> Path:
    """The folder's place.

    Raises: FolderError where it is none, or lies outside of the data root.
    """
    base = root(data_dir).resolve()
    place = (base / folder).resolve()
    if not place.is_relative_to(base) or place == base:
        raise FolderError(f"{folder!r} lies outside of the data root.")
    if not place.is_dir():
        raise FolderError(f"There is no folder {folder!r} below the data root.")
    return place


def parts(place: Path) -> tuple[Path, Path | None]:
    """The folder of training images, and that of test images where there is one."""
    train = place / "train"
    if not train.is_dir():
        return place, None
    held_out = next((place / name for name in ("test", "val") if (place / name).is_dir()), None)
    return train, held_out


def images(part: Path) -> dict[str, list[Path]]:
    """Each class's image files, classes and files in order of their names."""
    classes = sorted(p for p in part.iterdir() if p.is_dir() and not p.name.startswith("."))
    return {c.name: sorted(f for f in c.rglob("*") if f.suffix.lower() in SUFFIXES) for c in classes}


def digest(place: Path, native_px: int) -> str:
    """SHA-256 over the side that images are brought to, and each image file's place and content."""
    summed = hashlib.sha256(f"{native_px} px\n".encode())
    for file in sorted(f for f in place.rglob("*") if f.suffix.lower() in SUFFIXES):
        content = hashlib.sha256()
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                content.update(chunk)
        summed.update(f"{file.relative_to(place).as_posix()}\0{content.hexdigest()}\n".encode())
    return summed.hexdigest()


def describe(name: str, folder: str, native_px: int, data_dir: Path) -> Dataset:
    """The folder as a data set; its images are brought to `native_px`.

    Files are looked into, not decoded: a worker does that, and fails the trial before its first epoch.
    Raises: FolderError for a folder that is missing, empty, of one class, with too few images in a part, with a file
    that is no image, or too large.
    """
    place = located(folder, data_dir)
    train, test = parts(place)
    by_class = images(train)
    if len(by_class) < 2:
        raise FolderError(f"{folder!r} has {len(by_class)} class folders; at least 2 are needed, one a class.")
    for class_name, files in by_class.items():
        if len(files) < 5:
            raise FolderError(f"Class {class_name!r} of {folder!r} has {len(files)} images; at least 5 are needed.")
    tested = images(test) if test else {}
    if set(tested) - set(by_class):
        raise FolderError(f"{folder!r} has test classes that are not among its training classes.")
    if test and not any(tested.values()):
        raise FolderError(f"{test.name!r} of {folder!r} has no images.")
    whole = sum(map(len, by_class.values()))
    aside = sum(map(len, tested.values())) if test else held_out(whole)
    size = 3 * native_px**2 * (whole if test is None else whole + aside)
    if size > _LARGEST:
        most = _LARGEST // (3 * native_px**2)
        raise FolderError(f"{folder!r} has more than the {most:,} images that can be held at {native_px} px.")
    for file in chain.from_iterable([*by_class.values(), *tested.values()]):
        try:
            Image.open(file).close()
        except UNREADABLE as error:
            within = file.relative_to(place).as_posix()
            raise FolderError(f"{within!r} of {folder!r} is no image that can be read: mend or remove it.") from error
    return Dataset(
        name=name,
        kind="folder",
        num_classes=len(by_class),
        channels=3,
        native_px=native_px,
        train_images=whole if test else whole - aside,
        test_images=aside,
        digest=digest(place, native_px),
        description=f"Images in {folder!r}.",
        folder=folder,
    )
