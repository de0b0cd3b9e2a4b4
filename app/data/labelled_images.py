"""The images of a folder with their labels and parts, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from app.data.builtin_datasets import Layout, Part
from app.data.folder_scan import FolderError, FolderScan, Paths, Skipped, sort_class_names

PARTS: tuple[Part, ...] = get_args(Part)

MAX_CLASSES = 25_000


@dataclass(frozen=True)
class LabelledImages:
    """The images of a folder: their paths in it, and for each its label and the index of its part in `PARTS`.

    `sources` says in words where each part comes from. `times` has the modification times, in ns, of the folders and
    tables that were read.
    """

    layout: Layout
    classes: tuple[str, ...]
    paths: Paths
    labels: NDArray[np.int32]
    parts: NDArray[np.int8]
    sources: dict[Part, str]
    skipped: Skipped
    times: dict[str, int]
    is_simple: bool = False  # parts and labels follow from the paths by the first version's rules

    def indices(self, part: Part) -> NDArray[np.intp]:
        return np.flatnonzero(self.parts == PARTS.index(part))

    def has_part(self, part: Part) -> bool:
        return bool((self.parts == PARTS.index(part)).any())


@dataclass(frozen=True)
class Reading:
    """A possible way to read the folder, said in words."""

    layout: Layout
    summary: str
    read: Callable[[], LabelledImages]


class ImageCollector:
    """Collects labelled images in little memory; labels are known by the names of their classes."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._labels, self._parts = array("i"), array("b")

    @property
    def class_names(self) -> set[str]:
        return set(self._numbers)

    def add(self, path: str, class_name: str, part: Part) -> str:
        """Record the label of one image and return its path."""
        number = self._numbers.setdefault(class_name, len(self._numbers))
        if number >= MAX_CLASSES:
            raise FolderError(f"It has more than {MAX_CLASSES:,} classes; is the column of labels right?")
        self._labels.append(number)
        self._parts.append(PARTS.index(part))
        return path

    def declare(self, class_name: str) -> None:
        """Make known a class that may have no images."""
        self._numbers.setdefault(class_name, len(self._numbers))

    def collect(
        self, layout: Layout, images: Iterator[str], sources: dict[Part, str], scan: FolderScan, *, is_simple: bool
    ) -> LabelledImages:
        """Return all images; `images` calls `add` for each path that it yields."""
        paths = Paths(images)
        names = list(self._numbers)
        classes = sort_class_names(names)
        position = {name: index for index, name in enumerate(classes)}
        renumbered = np.array([position[name] for name in names], np.int32)
        numbers = np.frombuffer(self._labels, np.int32) if self._labels else np.empty(0, np.int32)
        labels = renumbered[numbers] if len(numbers) else numbers
        parts = np.array(self._parts, np.int8)
        is_simple = is_simple and classes == tuple(sorted(classes))
        return LabelledImages(
            layout, classes, paths, labels, parts, sources, scan.skipped, scan.times, is_simple=is_simple
        )
