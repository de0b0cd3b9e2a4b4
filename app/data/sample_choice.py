"""Chooses the sample images of a data set: training images, spread over the classes, always the same."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from app.data.image_checks import ImageHashes
from app.data.labelled_images import LabelledImages

SAMPLES = 16


def choose_spread(labels: NDArray[np.integer]) -> list[int]:
    """Return at most `SAMPLES` indices of images with these labels, ordered by class: as many of each as of another.

    Of more classes than samples, evenly spaced ones have an image each.
    """
    classes = np.unique(labels)
    chosen = classes[np.linspace(0, len(classes) - 1, min(SAMPLES, len(classes))).astype(np.intp)]
    indices: list[int] = []
    for number, label in enumerate(chosen):
        in_class = np.flatnonzero(labels == label)
        share = SAMPLES // len(chosen) + (number < SAMPLES % len(chosen))
        indices += in_class[np.linspace(0, len(in_class) - 1, min(share, len(in_class))).astype(np.intp)].tolist()
    return indices


def choose_from_folder(images: LabelledImages, hashes: ImageHashes) -> list[dict[str, Any]]:
    """Return the location, the label and the SHA-256 of the content of samples of a folder's training part."""
    train = images.indices("train")
    return [
        {
            "location": quote_from_bytes(os.fsencode(images.paths[index])),  # a path need not be valid text
            "label": int(images.labels[index]),
            "sha256": hashes.contents[index].tobytes().hex(),
        }
        for index in train[choose_spread(images.labels[train])].tolist()
    ]


def location_of(sample: dict[str, Any]) -> str:
    """Return the location of a sample in its folder, see `image_checks.read_location`."""
    return os.fsdecode(unquote_to_bytes(sample["location"]))
