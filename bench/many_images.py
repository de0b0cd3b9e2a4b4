"""Registers a folder of many images, which are links to a few, and prints files per second and peak memory.

The seconds of the processor are those of all threads, which other programs on the machine do not change. The folder is
registered a second time as well, which finds the hashes of its images, like the first training on it.

python bench/many_images.py [IMAGES] [CLASSES]
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.data import image_folders


def fill(root: Path, images: int, classes: int) -> None:
    """Make a folder `many` with `images` links to 100 JPEG files of 64 px."""
    random = np.random.default_rng(0)
    (root / "few").mkdir(parents=True)
    for number in range(100):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(root / "few" / f"{number}.jpg")
    for label in range(classes):
        folder = root / "many" / "train" / f"n{label:08}"
        folder.mkdir(parents=True)
        for number in range(images // classes):
            os.symlink(root / "few" / f"{number % 100}.jpg", folder / f"n{label:08}_{number}.JPEG")


def measure(what: str, images: int, function: Callable[[], Any]) -> None:
    began, worked = time.monotonic(), time.process_time()
    function()
    seconds, cpu = time.monotonic() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:<17} {seconds:6.0f} s  {images / seconds:9,.0f} files/s  {1e6 * cpu / images:5.0f} µs of the processor "
        f"per file  peak memory {peak:,.0f} MB",
        flush=True,
    )


def main(images: int, classes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        fill(data_dir / "datasets", images, classes)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{images:,} images in {classes:,} classes; {before:.0f} MB before")
        register = partial(image_folders.examine, "many", "many", 32, data_dir, readers=os.cpu_count() or 1)
        measure("listed", images, lambda: image_folders.list_images("many", data_dir))
        measure("registered", images, register)
        measure("registered again", images, register)


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:], "1300000", "1000")[:2]))
