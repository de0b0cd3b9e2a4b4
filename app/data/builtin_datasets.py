"""Which image sets there are to train on, as values. Reading them is the worker's affair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Part = Literal["train", "validation", "test"]
Task = Literal["classification", "detection"]


@dataclass(frozen=True)
class Dataset:
    """A labelled image set.

    `digest` is the SHA-256 of its images and labels (`worker/datasets.py`) or of its files (`image_folders.py`,
    `typefaces.py`, `worker/scenes.py`): a worker refuses data with another one.
    The numbers of images are none where they are known only once the images are drawn.
    `folder` is, for an ImageFolder, its place below the data root.
    """

    name: str
    kind: Literal["idx", "digits", "folder", "typefaces", "scenes"]
    num_classes: int
    channels: int
    native_px: int
    train_images: int | None
    test_images: int | None
    digest: str
    description: str
    folder: str | None = None
    task: Task = "classification"


IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def held_out(images: int) -> int:
    """How many images are set aside for testing where a set has no test part of its own: a fifth of them."""
    return math.ceil(images / 5)


def fashion_mnist_folders(data_dir: Path) -> list[Path]:
    """Where Fashion-MNIST may lie: Debian's package, then torchvision's download below the data directory."""
    return [
        Path("/usr/share/datasets/fashion-mnist"),
        data_dir / "datasets" / "FashionMNIST" / "raw",
    ]


def fashion_mnist_folder(data_dir: Path) -> Path | None:
    """The first of them that has all the files; none where none has."""
    folders = fashion_mnist_folders(data_dir)
    return next((f for f in folders if all((f / name).is_file() for name in IDX_FILES)), None)


def photo_folder() -> Path:
    """Where Debian's mate-backgrounds keeps its photos."""
    return Path("/usr/share/backgrounds/mate/nature")


_SCENE_PACKAGES = "dataset-fashion-mnist mate-backgrounds"

# Which photos are behind the scenes of which part: none is in two.
PHOTOS: dict[Part, tuple[str, ...]] = {
    "train": (
        "Aqua.jpg",
        "Blinds.jpg",
        "Dune.jpg",
        "FreshFlower.jpg",
        "GreenMeadow.jpg",
        "TwoWings.jpg",
        "Wood.jpg",
        "YellowFlower.jpg",
    ),
    "validation": ("Garden.jpg", "Storm.jpg"),
    "test": ("LadyBird.jpg", "RainDrops.jpg"),
}


def scenes_missing(data_dir: Path) -> str | None:
    """What lacks for composing scenes of articles on photos, and how to get it; none where all is there."""
    lacking = [name for part in PHOTOS.values() for name in part if not (photo_folder() / name).is_file()]
    articles = fashion_mnist_folder(data_dir) is not None
    if articles and not lacking:
        return None
    what = " and ".join(["Fashion-MNIST"] * (not articles) + ["photos"] * bool(lacking))
    return f"It is composed of what is not on this machine ({what}): apt-get install -y {_SCENE_PACKAGES}"


FASHION_MNIST = Dataset(
    name="fashion-mnist",
    kind="idx",
    num_classes=10,
    channels=1,
    native_px=28,
    train_images=60_000,
    test_images=10_000,
    digest="efd375b7587bddaedb1cb3a78cc981a9aff5c9ab7b56cf931d22809264bd2041",
    description="Articles of clothing, 28 px grey, 10 classes (Zalando, MIT licence).",
)
DIGITS = Dataset(
    name="digits",
    kind="digits",
    num_classes=10,
    channels=1,
    native_px=8,
    train_images=1_437,
    test_images=360,
    digest="c712dacf0bce3c3ef1eeff5de2148d650d7a084affe5d39af7c624dd50875206",
    description="Handwritten digits, 8 px grey, 10 classes, from scikit-learn's own files.",
)

ARTICLES_ON_PHOTOS = Dataset(
    name="articles-on-photos",
    kind="scenes",
    num_classes=10,
    channels=3,
    native_px=128,
    train_images=3_400,
    test_images=400,
    digest="b0497bf0f2c0db9d6c9c095d4e2e70f10514630462033db9bd908e69a9e3dc71",
    description="Scenes to detect in, 128 px colour, 10 classes: 1 to 5 Fashion-MNIST articles, grey, pasted on crops "
    "of 12 photos, boxes exact; the parts have no article and no photo in common. A composite: it says nothing about "
    "COCO.",
    task="detection",
)

BUILT_IN: dict[str, Dataset] = {d.name: d for d in (FASHION_MNIST, DIGITS, ARTICLES_ON_PHOTOS)}


def task_of(name: str) -> Task:
    """What is learned on the data set of that name: registered folders and fonts are there to be classified."""
    known = BUILT_IN.get(name)
    return "classification" if known is None else known.task
