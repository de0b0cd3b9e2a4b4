"""Image folders below the data root: what is understood of them, and whether every image can be decoded.

`image_layouts.py` says how folders may be laid out, `image_decoding.py` how images are decoded.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.data.builtin_datasets import Channels, Dataset, Layout, Part, held_out
from app.data.folder_scan import FolderError
from app.data.image_checks import (
    FolderChanged,
    ImageHashes,
    OnRead,
    check_images,
    combined_digest,
    name_location,
)
from app.data.image_decoding import WHITE, has_grey_background
from app.data.image_layouts import read_layout
from app.data.labelled_images import PARTS, LabelledImages
from app.data.sample_choice import choose_from_folder
from app.scaling.resolution import Resolution

MIN_IMAGES = 5  # of a class, for training
_FEW_IMAGES = 20  # below which a class gets a warning
_MAX_IMBALANCE = 100  # of the largest class to the smallest one
MAX_LISTED_CLASSES = 1000
_MAX_NAMED = 5  # classes in a warning
_SAMPLE = 3  # paths of each part
_DECODING = "decoding 2"  # note in the digest of folders with images that are not plain; 1 cut their values off


@dataclass(frozen=True)
class Examined:
    """A folder as a data set, with a report on what was understood, as plain data.

    The report has `layout`, `splits`, `classes`, `skipped`, `samples` and `warnings`; data sets rendered from fonts
    have none.
    """

    dataset: Dataset
    report: dict[str, Any] | None


def root(data_dir: Path) -> Path:
    """Return the data root, below which registered folders are."""
    return data_dir / "datasets"


def locate(folder: str, data_dir: Path) -> Path:
    """Return the folder's path.

    Raises: FolderError if it does not exist or is outside of the data root.
    """
    return _locate("folder", Path.is_dir, folder, data_dir)


def locate_file(file: str, data_dir: Path) -> Path:
    """Return the path of a file below the data root.

    Raises: FolderError if it does not exist or is outside of the data root.
    """
    return _locate("file", Path.is_file, file, data_dir)


def _locate(kind: str, exists_as: Callable[[Path], bool], name: str, data_dir: Path) -> Path:
    base = root(data_dir).resolve()
    try:
        path = _resolve(base / name)
        exists = exists_as(path)
    except _LinkLoop:
        raise FolderError(f"{name!r} is a loop of symbolic links.") from None
    except (OSError, ValueError):  # an invalid file name
        raise FolderError(f"{name!r} is not a valid {kind} name.") from None
    if not path.is_relative_to(base) or path == base:
        raise FolderError(f"{name!r} is outside of the data root.")
    if not exists:
        raise FolderError(f"There is no {kind} {name!r} below the data root.")
    return path


class _LinkLoop(Exception):
    """A symbolic link leads back to itself."""


def _resolve(path: Path) -> Path:
    """Resolve symbolic links. The system detects loops first, since Python's behaviour depends on its version.

    Raises: _LinkLoop.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _LinkLoop from None
    return Path(os.path.realpath(path))


def list_images(
    folder: str, data_dir: Path, layout: Layout | None = None, check_stop: Callable[[], None] = lambda: None
) -> LabelledImages:
    """Return the labelled images of a folder below the data root. Raises: FolderError; what `check_stop` raises."""
    return read_layout(locate(folder, data_dir), root(data_dir).resolve(), layout, check_stop)


def check(
    folder: str,
    data_dir: Path,
    images: LabelledImages,
    native_px: Resolution,
    background: str,
    readers: int,
    on_read: OnRead,
    channels: Channels | None = None,
) -> tuple[str, Channels, ImageHashes]:
    """Decode all images of a folder unless that was done before; return its digest, its channels and the hashes.

    Without `channels` it has 1 if all images are grey, otherwise 3.
    Raises: UnreadableImages, FolderError; what `on_read` raises.
    """
    path = locate(folder, data_dir)
    kept = None if channels == 4 else background
    hashes = check_images(path, root(data_dir).resolve(), images.paths, native_px, kept, readers, on_read)
    if channels is None:
        stays_grey = has_grey_background(background) or bool(hashes.is_plain.all())
        channels = 1 if stays_grey and bool(hashes.is_grey.all()) else 3
    notes = [] if bool(hashes.is_plain.all()) else [_DECODING, f"background {background}"]
    if not images.is_simple:
        classes = json.dumps(images.classes).encode()
        order = images.paths.sorted_indices()
        assigned = images.labels[order].tobytes() + images.parts[order].tobytes()
        notes.append(f"labels {hashlib.sha256(classes + assigned).hexdigest()}")
    if channels != 3:
        notes.append(f"channels {channels}")
    return combined_digest(native_px, notes, images.paths, hashes.contents), channels, hashes


def describe(name: str, folder: str, native_px: Resolution, data_dir: Path) -> Dataset:
    """Return the folder as a data set whose images are resized to `native_px`. Raises: FolderError."""
    return examine(name, folder, native_px, data_dir).dataset


def examine(
    name: str,
    folder: str,
    native_px: Resolution,
    data_dir: Path,
    *,
    layout: Layout | None = None,
    background: str = WHITE,
    channels: Channels | None = None,
    readers: int = 1,
    on_read: OnRead = lambda done, of: None,
) -> Examined:
    """Read a folder and decode all of its images with this number of threads.

    Raises: FolderError if it is missing, ambiguous, has fewer than two classes or too few images in one;
    UnreadableImages if it has files that cannot be decoded; FolderChanged; what `on_read` raises.
    """
    path = locate(folder, data_dir)
    folder = path.relative_to(root(data_dir).resolve()).as_posix()
    images = list_images(folder, data_dir, layout, lambda: on_read(0, 0))
    _require_classes(images, folder)
    digest, channels, hashes = check(folder, data_dir, images, native_px, background, readers, on_read, channels)
    _require_unchanged(path, folder, images)
    dataset = _to_dataset(name, folder, native_px, background, channels, images, digest)
    return Examined(dataset, report(images, hashes))


def preview(
    name: str,
    folder: str,
    native_px: Resolution,
    data_dir: Path,
    *,
    layout: Layout | None = None,
    background: str = WHITE,
    channels: Channels | None = None,
    check_stop: Callable[[], None] = lambda: None,
) -> Examined:
    """Read how a folder is laid out without opening its images; the data set has no digest.

    Raises: FolderError; what `check_stop` raises.
    """
    images = list_images(folder, data_dir, layout, check_stop)
    _require_classes(images, folder)
    return Examined(_to_dataset(name, folder, native_px, background, channels or 3, images, ""), report(images))


def _to_dataset(
    name: str,
    folder: str,
    native_px: Resolution,
    background: str,
    channels: Channels,
    images: LabelledImages,
    digest: str,
) -> Dataset:
    train_images = len(images.indices("train")) + len(images.indices("validation"))
    test_images = len(images.indices("test")) if images.has_part("test") else held_out(train_images)
    return Dataset(
        name=name,
        kind="folder",
        num_classes=len(images.classes),
        channels=channels,
        native_px=native_px,
        train_images=train_images if images.has_part("test") else train_images - test_images,
        test_images=test_images,
        digest=digest,
        description=f"Images in {folder!r}.",
        folder=folder,
        classes=images.classes,
        layout=images.layout,
        background=background,
    )


def _require_classes(images: LabelledImages, folder: str) -> None:
    if len(images.classes) < 2:
        raise FolderError(f"{folder!r} has {len(images.classes)} class folders; at least 2 are needed, one per class.")
    counts = np.bincount(images.labels[images.indices("train")], minlength=len(images.classes))
    too_few = np.flatnonzero(counts < MIN_IMAGES)
    if len(too_few):
        name, count = images.classes[too_few[0]], counts[too_few[0]]
        others = f" {len(too_few) - 1} other classes have too few as well." if len(too_few) > 1 else ""
        raise FolderError(
            f"Class {name!r} of {folder!r} has {count} images; at least {MIN_IMAGES} are needed for training.{others}"
        )


def _require_unchanged(path: Path, folder: str, images: LabelledImages) -> None:
    """Raise FolderChanged if a file was added or removed, or a table changed, since the folder was listed."""
    for within, time in images.times.items():
        try:
            is_unchanged = os.stat(path / within).st_mtime_ns == time
        except OSError:
            is_unchanged = False
        if not is_unchanged:
            raise FolderChanged(folder)


def report(images: LabelledImages, hashes: ImageHashes | None = None) -> dict[str, Any]:
    """Say what was understood of a folder; without the hashes, duplicates are not looked for."""
    counts = {part: np.bincount(images.labels[images.indices(part)], minlength=len(images.classes)) for part in PARTS}
    listed = range(min(len(images.classes), MAX_LISTED_CLASSES))
    return {
        "layout": images.layout,
        "splits": [_describe_part(images, part) for part in PARTS],
        "classes": [
            {"name": images.classes[index], **{part: int(counts[part][index]) for part in PARTS}} for index in listed
        ],
        "skipped": images.skipped.to_json(),
        "samples": choose_from_folder(images, hashes) if hashes else [],
        "warnings": [*_count_warnings(images, counts), *(_duplicate_warnings(images, hashes) if hashes else [])],
    }


def _describe_part(images: LabelledImages, part: Part) -> dict[str, Any]:
    indices = images.indices(part)
    held_out_share = {"train": "", "validation": "a tenth of the training images", "test": "a fifth of the images"}
    spread = indices[np.linspace(0, len(indices) - 1, min(_SAMPLE, len(indices))).astype(np.intp)]
    return {
        "part": part,
        "images": len(indices),
        "source": images.sources.get(part) or f"held out: {held_out_share[part]}",
        "sample": [
            {"path": name_location(images.paths[index]), "label": images.classes[images.labels[index]]}
            for index in map(int, spread)
        ],
    }


def _count_warnings(images: LabelledImages, counts: dict[Part, np.ndarray[Any, Any]]) -> list[str]:
    warnings = []
    train, classes = counts["train"], images.classes
    largest, smallest = int(train.argmax()), int(train.argmin())
    if train[largest] > _MAX_IMBALANCE * train[smallest]:
        warnings.append(
            f"The classes are out of balance by more than {_MAX_IMBALANCE}:1: {classes[largest]!r} has "
            f"{train[largest]:,} training images, {classes[smallest]!r} has {train[smallest]:,}."
        )
    few = [classes[index] for index in np.flatnonzero(train < _FEW_IMAGES)]
    if few:
        warnings.append(f"{_list_names(few)}: fewer than {_FEW_IMAGES} training images.")
    for part in PARTS[1:]:
        missing = [classes[index] for index in np.flatnonzero(counts[part] == 0)]
        if images.has_part(part) and missing:
            warnings.append(f"{_list_names(missing)}: no images in the {part} part.")
    skipped = sum(count for reason, count in images.skipped.counts.items() if not reason.startswith("hidden"))
    if skipped:
        warnings.append(f"{skipped:,} files are passed over, see `skipped`.")
    return warnings


def _duplicate_warnings(images: LabelledImages, hashes: ImageHashes) -> list[str]:
    warnings = []
    pairs: tuple[tuple[Part, Part], ...] = (("train", "validation"), ("train", "test"), ("validation", "test"))
    for part, other in pairs:
        shared = int(np.isin(hashes.pixels[images.indices(part)], hashes.pixels[images.indices(other)]).sum())
        if shared:
            warnings.append(
                f"{shared:,} images of the {part} part are also in the {other} part; they are kept in {other} only."
            )
    _, first, inverse = np.unique(hashes.pixels, return_index=True, return_inverse=True)
    in_two_classes = int((images.labels != images.labels[first][inverse]).sum())
    if in_two_classes:
        warnings.append(f"{in_two_classes:,} images have the same pixels as an image of another class.")
    return warnings


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED:,} more classes" if len(names) > _MAX_NAMED else ""
    return ", ".join(map(repr, names[:_MAX_NAMED])) + more
