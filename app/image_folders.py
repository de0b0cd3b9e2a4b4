"""Folders of images in ImageFolder layout below the data root: what is in one, and its digest.

Layout: `train/<class>/*`, `val/<class>/*` and `test/<class>/*`; or, as ImageNet has it, `train` and `val`, which is
then what is reported; or `<class>/*` alone. What there is no folder for is a share of the training images, held out.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.datasets import Dataset, held_out

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# What is decoded, whatever a file is called: PIL knows formats that are programs (EPS) or take others' decoders.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # all that PIL raises
_VALIDATION = ("val", "valid", "validation")
_READERS = 8  # files read at a time


class FolderError(ValueError):
    """The folder cannot be trained on; the message says why and names no path outside of the data root."""


@dataclass(frozen=True)
class Parts:
    """The folders of the three parts, none where images are to be held out; each has a folder a class."""

    train: Path
    validation: Path | None = None
    test: Path | None = None


def root(data_dir: Path) -> Path:
    """The data root: registered folders lie below it."""
    return data_dir / "datasets"


def located(folder: str, data_dir: Path) -> Path:
    """The folder's place.

    Raises: FolderError where it is none, or lies outside of the data root.
    """
    base = root(data_dir).resolve()
    try:
        place = _resolved(base / folder)
        there = place.is_dir()
    except _Circle:
        raise FolderError(f"{folder!r} is a circle of links: it leads to no folder.") from None
    except (OSError, ValueError):  # a name that no file can have
        raise FolderError(f"{folder!r} is no name of a folder.") from None
    if not place.is_relative_to(base) or place == base:
        raise FolderError(f"{folder!r} lies outside of the data root.")
    if not there:
        raise FolderError(f"There is no folder {folder!r} below the data root.")
    return place


class _Circle(Exception):
    """A link leads to itself, be it by others."""


def _resolved(path: Path) -> Path:
    """Without links. Asked first is the system: what Python makes of a circle differs by its version.

    Raises: _Circle.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _Circle from None
    return Path(os.path.realpath(path))


def parts(place: Path) -> Parts:
    """Which folders there are. A `test` without labels, as ImageNet's, is passed over where there is a `val`."""
    train = place / "train"
    if not train.is_dir():
        return Parts(place)
    validation = next((place / name for name in _VALIDATION if (place / name).is_dir()), None)
    test = place / "test" if (place / "test").is_dir() else None
    if validation is not None and (test is None or not images(test)):
        return Parts(train, test=validation)
    return Parts(train, validation, test)


def images(part: Path) -> dict[str, list[Path]]:
    """Each class's image files, classes and files in order of their names."""
    classes = sorted(p for p in part.iterdir() if p.is_dir() and not p.name.startswith("."))
    return {c.name: sorted(f for f in c.rglob("*") if f.suffix.lower() in SUFFIXES) for c in classes}


def refuse_but_files(path: Path) -> None:
    """Before it is opened: to read a pipe or a device may take for ever.

    Raises: OSError where it is no regular file, nor a link to one.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file")


def combined(native_px: int, files: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the side that images are brought to, and each file's place and its content's digest."""
    summed = hashlib.sha256(f"{native_px} px\n".encode())
    for name, content in sorted(files):
        summed.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))  # a name need not be UTF-8
    return summed.hexdigest()


def describe(name: str, folder: str, native_px: int, data_dir: Path) -> Dataset:
    """The folder as a data set; its images are brought to `native_px`.

    Files are read and looked into, not decoded: a worker does that, and fails the trial before its first epoch.
    Raises: FolderError for a folder that is missing, empty, of one class, with too few images in a part, or with a file
    that is no image.
    """
    place, base = located(folder, data_dir), root(data_dir).resolve()
    folder = place.relative_to(base).as_posix()
    found = parts(place)
    by_class = images(found.train)
    if len(by_class) < 2:
        raise FolderError(f"{folder!r} has {len(by_class)} class folders; at least 2 are needed, one a class.")
    for class_name, files in by_class.items():
        if len(files) < 5:
            raise FolderError(f"Class {class_name!r} of {folder!r} has {len(files)} images; at least 5 are needed.")
    validated, tested = (_others(part, by_class, folder) for part in (found.validation, found.test))
    whole = sum(map(len, [*by_class.values(), *validated.values()]))
    aside = sum(map(len, tested.values())) if found.test else held_out(whole)

    def looked_into(file: Path) -> tuple[str, str]:
        within = file.relative_to(place).as_posix()
        if not Path(os.path.realpath(file)).is_relative_to(base):
            raise FolderError(f"{within!r} of {folder!r} is a link that leads out of the data root.")
        try:
            refuse_but_files(file)
            Image.open(file, formats=FORMATS).close()
            return within, _content(file)
        except UNREADABLE as error:
            raise FolderError(f"{within!r} of {folder!r} is no image that can be read: mend or remove it.") from error

    every = [file for part in (by_class, validated, tested) for files in part.values() for file in files]
    with ThreadPoolExecutor(_READERS) as pool:
        digest = combined(native_px, pool.map(looked_into, every))
    return Dataset(
        name=name,
        kind="folder",
        num_classes=len(by_class),
        channels=3,
        native_px=native_px,
        train_images=whole if found.test else whole - aside,
        test_images=aside,
        digest=digest,
        description=f"Images in {folder!r}.",
        folder=folder,
    )


def _others(part: Path | None, trained: dict[str, list[Path]], folder: str) -> dict[str, list[Path]]:
    """The images of a part that is not trained on."""
    if part is None:
        return {}
    found = images(part)
    if set(found) - set(trained):
        raise FolderError(f"{part.name!r} of {folder!r} has classes that are not among its training classes.")
    if not any(found.values()):
        raise FolderError(f"{part.name!r} of {folder!r} has no images: they belong in it by class, `<class>/*`.")
    return found


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
