"""Folders of images: every file read once, checked and marked; what was found is kept beside the data."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from app import image_folders
from app.datasets import Dataset
from app.image_folders import UNREADABLE, refuse_but_files
from worker import checkpoints
from worker.stored import Files, Images, Marks, Unreadable, decoded, mark

log = logging.getLogger("rdw.worker")

OnRead = Callable[[int, int], None]
"""Called every few seconds with the number of files read, and that of all."""

_SAY_EVERY = 2.0  # seconds
_AHEAD = 64  # files given to the readers at a time


@dataclass(frozen=True)
class Checked:
    """Of each file its content's digest (hex) and its image's mark."""

    contents: NDArray[np.bytes_]
    marks: Marks


def read(dataset: Dataset, data_dir: Path, readers: int, on_read: OnRead) -> tuple[str, list[Images | None]]:
    """The digest of what lies in the folder, and its training, validation and test images, none where it has none.

    Images stay in their files. All of them are read and decoded, unless that was done before and no file's name, size
    or time of change has changed since.
    Raises: FolderError, Unreadable.
    """
    place = image_folders.located(dataset.folder or "", data_dir)
    root = image_folders.root(data_dir).resolve()
    parts = image_folders.parts(place)
    classes = list(image_folders.images(parts.train))
    listed = [_listed(part, classes) for part in (parts.train, parts.validation, parts.test)]
    files = [file for part in listed for file, _ in part]
    checked = _checked(files, dataset.native_px, root, readers, on_read)
    names = [os.fsencode(file.relative_to(root)) for file in files]
    within = [file.relative_to(place).as_posix() for file in files]
    digest = image_folders.combined(
        dataset.native_px, zip(within, (content.decode() for content in checked.contents), strict=True)
    )
    whole = Files(root, np.array(names), dataset.native_px, checked.marks)
    found: list[Images | None] = []
    start = 0
    for part in listed:
        of_part = whole.only(torch.arange(start, start + len(part)))
        found.append(Images(of_part, torch.tensor([label for _, label in part])) if part else None)
        start += len(part)
    return digest, found


def _listed(part: Path | None, classes: list[str]) -> list[tuple[Path, int]]:
    if part is None:
        return []
    return [(file, classes.index(name)) for name, files in image_folders.images(part).items() for file in files]


def _checked(files: list[Path], px: int, root: Path, readers: int, on_read: OnRead) -> Checked:
    stamp = _stamp(files, px)
    kept = root / ".checked" / f"{stamp[:32]}.npz"
    found = _kept(kept, stamp)
    if found is None:
        found = _looked_at(files, px, root, readers, on_read)
        with checkpoints.whole(kept) as opened:
            np.savez(opened, stamp=stamp, contents=found.contents, marks=found.marks)
    return found


def _stamp(files: list[Path], px: int) -> str:
    """Of names, sizes and times of change; those of a file that is no more are none."""
    stats = [(str(file), file.stat()) for file in files if file.exists()]
    plain = [px, [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats]]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _kept(file: Path, stamp: str) -> Checked | None:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            return Checked(kept["contents"], kept["marks"]) if str(kept["stamp"]) == stamp else None
    except FileNotFoundError:
        return None
    except Exception as error:  # zipfile's, zlib's and NumPy's many
        log.warning("%s is damaged (%s): the images are read again", file.name, type(error).__name__)
        return None


def _looked_at(files: list[Path], px: int, root: Path, readers: int, on_read: OnRead) -> Checked:
    def look(file: Path) -> tuple[str, bytes]:
        try:
            refuse_but_files(file)
            content = file.read_bytes()
            return hashlib.sha256(content).hexdigest(), mark(decoded(BytesIO(content), px))
        except UNREADABLE as error:
            raise Unreadable(file.relative_to(root).as_posix()) from error

    found: list[tuple[str, bytes]] = []
    said = time.monotonic()
    with ThreadPoolExecutor(readers) as pool:
        for some in _chunks(files):
            found += pool.map(look, some)
            if time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                on_read(len(found), len(files))
    contents, marks = zip(*found, strict=True)
    return Checked(np.array(contents, "S64"), np.array(marks, "S16"))


def _chunks(files: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(files), _AHEAD):
        yield files[start : start + _AHEAD]
