"""Walks a folder of images: follows links inside the data root, passes over junk, and counts what it passes over."""

from __future__ import annotations

import os
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.data.image_decoding import SUFFIXES

_JUNK = frozenset(
    name.lower()
    for name in (
        "__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found",
        "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r",
    )
)  # fmt: skip
_JUNK_REASON = "hidden, or left by an operating system or archive"
_MAX_EXAMPLES = 3  # of each reason
_MAX_REASONS = 30
_MAX_CACHED_FILES = 200  # in a folder whose entries are remembered
_MAX_LISTINGS = 2_000_000  # of folders
_MAX_RESOLVED_FOLDERS = 10_000  # whose real paths are remembered
_PATHS_AT_ONCE = 10_000  # that become Python objects
MAX_IMAGES = 20_000_000
_OTHER_REASONS = "for other reasons"


class FolderError(ValueError):
    """The folder cannot be trained on; the message says why, without paths outside of the data root."""


@dataclass
class Skipped:
    """Files and folders that were passed over, counted by reason, with examples."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, path: str, count: int = 1) -> None:
        if reason not in self.counts and len(self.counts) >= _MAX_REASONS:
            reason = _OTHER_REASONS
        self.counts[reason] = self.counts.get(reason, 0) + count
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _MAX_EXAMPLES and path not in examples:
            examples.append(printable(path))

    def to_json(self) -> list[dict[str, object]]:
        return [
            {"reason": reason, "files": count, "examples": self.examples[reason]}
            for reason, count in self.counts.items()
        ]


class Paths:
    """Many paths in little memory. A member of a tar file is `PATH\\0OFFSET\\0SIZE`: no path contains a null byte."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        blob, ends = bytearray(), array("q", [0])
        for path in paths:
            if len(ends) > MAX_IMAGES:
                raise FolderError(f"It has more than {MAX_IMAGES:,} images, perhaps because of links between folders.")
            blob += os.fsencode(path)
            ends.append(len(blob))
        self._blob = bytes(blob)
        bounds = np.array(ends, np.int64)
        self._bounds = np.stack([bounds[:-1], bounds[1:]], axis=1)

    def __len__(self) -> int:
        return len(self._bounds)

    def __getitem__(self, index: int) -> str:
        start, stop = self._bounds[index]
        return os.fsdecode(self._blob[start:stop])

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _PATHS_AT_ONCE):
            for start, stop in self._bounds[first : first + _PATHS_AT_ONCE].tolist():
                yield os.fsdecode(self._blob[start:stop])

    def sorted_indices(self) -> NDArray[np.intp]:
        """Return the indices of the paths in the order of their text, in which they usually are already."""
        if all(path <= following for path, following in pairwise(self)):
            return np.arange(len(self))
        return np.array(sorted(range(len(self)), key=self.__getitem__), np.intp)

    def select(self, indices: NDArray[np.integer]) -> Paths:
        """Return the paths of these indices; they share their memory with these."""
        selected = Paths()
        selected._blob, selected._bounds = self._blob, self._bounds[indices]
        return selected


@dataclass(frozen=True)
class Entries:
    """The names of the folders and files in a folder, sorted."""

    folders: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def images(self) -> tuple[str, ...]:
        return tuple(name for name in self.files if is_image_name(name))


class FolderScan:
    """Lists what is in `folder`, a path below the data root `base`. All paths are relative to the folder.

    `check_stop` is called for each folder and every thousand files; it may raise to stop the scan. `times` has the
    modification times, in ns, of the folders and tables when they were first read.
    """

    def __init__(self, folder: Path, base: Path, check_stop: Callable[[], None] = lambda: None) -> None:
        self.folder, self.base, self.skipped = folder, base, Skipped()
        self.check_stop = check_stop
        self.times: dict[str, int] = {}
        self._cache: dict[str, Entries] = {}
        self._has_images: dict[str, bool] = {}
        self._real_folders: dict[str, str] = {}
        self._listed = 0

    def entries(self, path: str = "") -> Entries:
        """List a folder without junk. Folders that were listed are remembered, since layouts look at them repeatedly.

        Raises: FolderError if a link leads out of the data root, or the folder cannot be read.
        """
        if path in self._cache:
            return self._cache[path]
        entries = self._list(path, None)
        if len(entries.files) <= _MAX_CACHED_FILES:
            self._cache[path] = entries
        return entries

    def has_images(self, path: str) -> bool:
        """Whether there is an image in a folder or in a folder in it."""
        if path not in self._has_images:
            self._has_images[path] = next(self._walk(path, self._above(path), None), None) is not None
        return self._has_images[path]

    def images(self, path: str) -> Iterator[str]:
        """Yield the images in a folder and in all folders in it, in the order of their paths' components.

        Files that are not images are counted as skipped.
        """
        yield from self._walk(path, self._above(path), self.skipped)

    def count_images(self, path: str) -> int:
        return sum(1 for _ in self._walk(path, self._above(path), None))

    def skip_others(self, path: str, used: Iterable[str] = ()) -> None:
        """Count what is directly in a folder as skipped, except the folders and files in `used`."""
        entries = self._list(path, self.skipped)
        for name in sorted({*entries.folders} - {*used}):
            within = join(path, name)
            self.skip("in a folder that is neither a class nor a part", within, max(1, self.count_images(within)))
        for name in sorted({*entries.files} - {*used}):
            is_image = is_image_name(name)
            self.skip("an image outside of the class folders" if is_image else "not an image", join(path, name))

    def skip(self, reason: str, path: str, count: int = 1) -> None:
        self.skipped.add(reason, path, count)

    def note_time(self, path: str) -> None:
        """Record when a folder or file was modified, before it is read. Raises: OSError."""
        if path not in self.times:
            self.times[path] = os.stat(self.folder / path).st_mtime_ns

    def _above(self, path: str) -> frozenset[str]:
        """Return the real paths of a folder and of those above it, to which a link would lead in a circle."""
        real = Path(os.path.realpath(self.folder / path))
        return frozenset(map(str, (real, *real.parents, self.folder)))

    def _walk(self, path: str, above: frozenset[str], skipped: Skipped | None) -> Iterator[str]:
        entries = self._list(path, skipped)
        folders = frozenset(entries.folders)
        for name in sorted((*entries.folders, *entries.files)):
            within = join(path, name)
            if name in folders:
                real = os.path.realpath(self.folder / within)
                if real not in above:
                    yield from self._walk(within, above | {real}, skipped)
                elif skipped is not None:
                    skipped.add("a link to a folder above", within)
            elif is_image_name(name):
                yield within
            elif skipped is not None:
                suffix = os.path.splitext(name)[1].lower()
                skipped.add(f"not in a known image format ({printable(suffix[:10]) or 'no suffix'})", within)

    def _list(self, path: str, skipped: Skipped | None) -> Entries:
        self.check_stop()
        self._listed += 1
        if self._listed > _MAX_LISTINGS:
            raise FolderError(f"It has more than {_MAX_LISTINGS:,} folders, perhaps because of links between them.")
        folders: list[str] = []
        files: list[str] = []
        try:
            self.note_time(path)
            with os.scandir(self.folder / path) as found:
                for number, entry in enumerate(found):
                    if number % 1000 == 999:
                        self.check_stop()
                    if entry.name.startswith(".") or entry.name.lower() in _JUNK:
                        if skipped is not None:
                            skipped.add(_JUNK_REASON, join(path, entry.name))
                        continue
                    if entry.is_symlink():
                        self._check_link(join(path, entry.name))
                    # A folder that is called like an image is reported as an unreadable image.
                    is_folder = not is_image_name(entry.name) and _is_folder(entry)
                    (folders if is_folder else files).append(entry.name)
        except OSError as error:
            raise FolderError(f"The folder {path or '.'!r} cannot be read: {error.strerror}.") from error
        return Entries(tuple(sorted(folders)), tuple(sorted(files)))

    def is_inside(self, path: str) -> bool:
        """Whether a path leads to a place in the data root.

        Real paths of folders are remembered: there may be a million links to the files of a few.
        """
        path = f"{self.folder}/{path}"
        if os.path.islink(path):
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        parent, name = os.path.split(path)
        if name in ("", ".", "..") or os.path.islink(path):
            real = os.path.realpath(path)
        else:
            real = f"{self._real_folder(parent)}/{name}"
        return f"{real}/".startswith(f"{self.base}/")

    def _real_folder(self, path: str) -> str:
        if path not in self._real_folders:
            if len(self._real_folders) >= _MAX_RESOLVED_FOLDERS:
                self._real_folders.clear()
            self._real_folders[path] = os.path.realpath(path)
        return self._real_folders[path]

    def _check_link(self, path: str) -> None:
        if not self.is_inside(path):
            name = self.folder.relative_to(self.base).as_posix()
            raise FolderError(f"{printable(path)!r} of {name!r} is a link out of the data root.")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def printable(name: str) -> str:
    """Return a file's name as text: composed as NFC, with control characters and invalid UTF-8 escaped."""
    composed = unicodedata.normalize("NFC", name)
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c
        for c in composed
    )


def sort_class_names(names: Iterable[str]) -> tuple[str, ...]:
    """Sort the names of classes: by number if all are integers, otherwise as text."""
    unique = set(names)
    if unique and all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in unique):
        return tuple(sorted(unique, key=lambda name: (int(name), name)))
    return tuple(sorted(unique))
