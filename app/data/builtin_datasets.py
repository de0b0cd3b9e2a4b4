"""The definitions of the built-in data sets; the worker loads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.scaling.resolution import Resolution, to_resolution

Part = Literal["train", "validation", "test"]
Task = Literal["classification", "detection"]
Layout = Literal["classes", "splits", "manifest", "shards"]
"""How an image folder is laid out, see `image_layouts.py`."""
Channels = Literal[1, 3, 4]
"""Of stored images: grey, RGB, or RGB and opacity."""


@dataclass(frozen=True)
class Dataset:
    """A labelled image set.

    `digest` is the SHA-256 of its images and labels (`worker/data/loading.py`) or of its files (`image_folders.py`,
    `fonts.py`, `worker/data/scenes.py`): a worker rejects data with a different digest.
    The numbers of images are None until the images are rendered, if they are only known then.
    `folder` is the path of an image folder below the data root, `layout` how it is read, and `background` the colour
    behind transparent images. `classes` has the names of the classes by label; it is empty for folders that were
    registered before names were stored.
    """

    name: str
    kind: Literal["idx", "digits", "folder", "typefaces", "scenes"]
    num_classes: int
    channels: Channels
    native_px: Resolution
    train_images: int | None
    test_images: int | None
    digest: str
    description: str
    folder: str | None = None
    task: Task = "classification"
    classes: tuple[str, ...] = ()
    layout: Layout | None = None
    background: str = "#ffffff"

    @property
    def in_chans(self) -> int | None:
        """The input channels of networks for it; None: those of the baseline.

        Only image folders in grey or with transparency decide it. Other images are made grey, or grey ones repeated, if
        a network takes another number: so it was before folders had channels, and studies on them go on.
        """
        return self.channels if self.kind == "folder" and self.channels != 3 else None

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Dataset:
        classes, native_px = tuple(plain.get("classes", ())), to_resolution(plain["native_px"])
        return cls(**{**plain, "classes": classes, "native_px": native_px})


IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def held_out(images: int) -> int:
    """Return the number of images held out for testing if a set has no test part: a fifth."""
    return math.ceil(images / 5)


def fashion_mnist_folders(data_dir: Path) -> list[Path]:
    """Return the possible folders of Fashion-MNIST: Debian's package, then torchvision's download."""
    return [
        Path("/usr/share/datasets/fashion-mnist"),
        data_dir / "datasets" / "FashionMNIST" / "raw",
    ]


def fashion_mnist_folder(data_dir: Path) -> Path | None:
    """Return the first of these folders that has all files, or None."""
    folders = fashion_mnist_folders(data_dir)
    return next((f for f in folders if all((f / name).is_file() for name in IDX_FILES)), None)


def fetch_hint(name: str) -> str:
    return f"run `python -m worker.data.fetch {name}` on the worker's machine"


def photo_folder() -> Path:
    """Return the folder of the photos in Debian's package mate-backgrounds."""
    return Path("/usr/share/backgrounds/mate/nature")


_SCENE_PACKAGES = "dataset-fashion-mnist mate-backgrounds"

# The background photos of each part; no photo is in two parts.
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


def scenes_unavailable_reason(data_dir: Path) -> str | None:
    """Say which files for composing scenes are missing and how to install them; None if all exist."""
    missing_photos = [name for part in PHOTOS.values() for name in part if not (photo_folder() / name).is_file()]
    has_articles = fashion_mnist_folder(data_dir) is not None
    if has_articles and not missing_photos:
        return None
    missing_sources = " and ".join(["Fashion-MNIST"] * (not has_articles) + ["photos"] * bool(missing_photos))
    return f"Its sources are not on this machine ({missing_sources}): apt-get install -y {_SCENE_PACKAGES}"


def scene_samples_file(data_dir: Path, digest: str) -> Path:
    """Return the file of the sample scenes, which a worker writes when it has composed them."""
    return data_dir / "datasets" / f"scenes-{digest[:16]}.npz"


_ARTICLES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

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
    classes=_ARTICLES,
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
    classes=tuple("0123456789"),
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
    description="Scenes for detection, 128 px colour, 10 classes: 1 to 5 grey Fashion-MNIST articles pasted on crops "
    "of 12 photos, with exact boxes; the parts have no article and no photo in common. Not comparable with COCO.",
    task="detection",
    classes=_ARTICLES,
)

BUILT_IN: dict[str, Dataset] = {d.name: d for d in (FASHION_MNIST, DIGITS, ARTICLES_ON_PHOTOS)}

TYPEFACES = "typefaces"  # rendered from the installed fonts, see `fonts.py`
BUILT_IN_NAMES = (*BUILT_IN, TYPEFACES)


def task_of(name: str) -> Task:
    """Return the task of the data set of that name; registered folders and fonts are for classification."""
    dataset = BUILT_IN.get(name)
    return "classification" if dataset is None else dataset.task
