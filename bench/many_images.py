"""Registers a folder of many images, which are links to a few, and prints seconds and peak memory.

python bench/many_images.py [IMAGES] [CLASSES]
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

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


def main(images: int, classes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        fill(data_dir / "datasets", images, classes)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.monotonic()
        listed = image_folders.list_images("many", data_dir)
        listing = time.monotonic() - start
        examined = image_folders.examine("many", "many", 32, data_dir, readers=os.cpu_count() or 1)
        seconds = time.monotonic() - start - listing
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{len(listed.paths):,} images in {examined.dataset.num_classes:,} classes: listed in {listing:.0f} s, "
            f"registered in {seconds:.0f} s, peak memory {peak / 1024:.0f} MB ({before / 1024:.0f} MB before)"
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:], "1300000", "1000")[:2]))
