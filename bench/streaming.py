"""How long a training waits for images that two loader processes read from their files.

It measures trainings on
- photos: crops of 500 × 375 px of the photos of Debian's mate-backgrounds, as JPEG files;
- typefaces: the rendered glyphs of 64 px, as grey PNG files.

On a machine that others use as well the share of waiting says little, so that it prints the time of the processor per
image too, of the training and of the loaders: with enough cores the network waits if two loaders take longer for two
images than the training for one.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from app.data import fonts
from app.data.builtin_datasets import photo_folder
from app.data.image_folders import describe
from app.data.recipes import PRESETS, Recipe
from app.scaling.families import baseline
from worker.data.glyphs import render_typefaces
from worker.data.loading import load
from worker.devices import Device
from worker.training.classification import Classification
from worker.training.loop import BatchIndices, train

DATA_DIR = Path("var")
LOADERS = 2
CLASSES = 4
QUICK = PRESETS["quick"].model_copy(update={"epochs": 1, "train_images": None})
PAPER = PRESETS["tinynet-ra"].model_copy(update={"epochs": 1, "warmup_epochs": 0, "batch_size": 64})


def write_photos(root: Path, images: int) -> None:
    random = np.random.default_rng(0)
    photos = [Image.open(file).convert("RGB") for file in sorted(photo_folder().glob("*.jpg"))]
    for number in range(images):
        photo = photos[number % len(photos)]
        left, top = (int(random.integers(side)) for side in (photo.width - 500, photo.height - 375))
        file = _place(root, number % CLASSES) / f"{number}.jpg"
        photo.crop((left, top, left + 500, top + 375)).save(file, quality=90)


def write_glyphs(root: Path, images: int) -> None:
    pixels, labels = render_typefaces(fonts.find_installed(), DATA_DIR).part("train")
    chosen = np.flatnonzero(labels < CLASSES)[:images]
    for number in chosen:
        Image.fromarray(pixels[number, 0]).save(_place(root, int(labels[number])) / f"{number}.png")


def _place(root: Path, label: int) -> Path:
    folder = root / f"class{label}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class Waiting:
    """Seconds until the first batch of an epoch, seconds of waiting for the others, and seconds in all."""

    first: float = 0.0
    others: float = 0.0


class TimedClassification(Classification):
    """Measures how long the training waits for batches."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting = Waiting()

    def batches(self, order: list[BatchIndices]) -> Iterator[Any]:
        batches = super().batches(order)
        for number in range(len(order)):
            began = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - began
            if number:
                self.waiting.others += waited
            else:
                self.waiting.first += waited
            yield batch


def cpu_of_loaders() -> float:
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children())


def measure(name: str, data_dir: Path, native_px: int, px: int, recipe: Recipe) -> None:
    dataset = describe(name, name, native_px, data_dir)
    splits = load(dataset, data_dir, memory_limit=0)
    architecture = baseline("tinynet_e").adapt(dataset.num_classes, dataset.in_chans)
    config = replace(architecture.baseline, resolution=px)
    task = TimedClassification(config, recipe, splits, Device(), LOADERS)
    own, loaders = time.process_time(), cpu_of_loaders()
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            task,
            recipe,
            0,
            device=Device(),
            folder=Path(folder),
            weights_file=Path(folder) / "weights.safetensors",
            on_progress=lambda progress: None,
            should_stop=lambda: False,
        )
    own, loaders = time.process_time() - own, cpu_of_loaders() - loaders
    images = len(splits.train) * recipe.epochs
    every = images + len(splits.validation) * recipe.epochs + len(splits.test)
    seconds = images / result.images_per_second
    shares = f"{task.waiting.others / seconds:5.1%} of {seconds:.0f} s ({task.waiting.first:.2f} s for the first batch)"
    cpu = f"training {1e3 * own / every:5.1f} ms, loaders {1e3 * loaders / every:5.1f} ms"
    print(f"{name:<10} {px:>3} px  waits {shares}  per image on the processor: {cpu}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="of each data set (default: %(default)s)")
    images = parser.parse_args().images
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        write_photos(data_dir / "datasets" / "photos", images)
        write_glyphs(data_dir / "datasets" / "typefaces", images)
        for title, recipe in (("flips and shifts by the batch", QUICK), ("crops and RandAugment", PAPER)):
            print(f"\ntinynet_e, {LOADERS} loaders, {title}")
            measure("photos", data_dir, 144, 106, recipe)
            measure("photos", data_dir, 224, 192, recipe)
            measure("typefaces", data_dir, 64, 64, recipe)
    return 0


if __name__ == "__main__":
    sys.exit(main())
