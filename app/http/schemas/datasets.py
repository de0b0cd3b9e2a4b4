"""Schemas of data sets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, Tag

from app.data.builtin_datasets import Channels, Layout, Part, Task
from app.data.image_decoding import WHITE
from app.http.schemas.common import SIDE_OR_SIDES, Name, Owner, RequestModel, ResponseModel
from app.scaling.resolution import Resolution

_StoredSide = Annotated[int, Field(ge=8, le=512)]
StoredSides = Annotated[
    Annotated[_StoredSide, Tag("<side>")] | Annotated[tuple[_StoredSide, _StoredSide], Tag("<sides>")], SIDE_OR_SIDES
]


class NewDataset(RequestModel):
    """A folder of images to register.

    The layout is `<class>/*`, or `train/<class>/*` with `val/`, `test/` or both, whatever these are called; a table of
    paths and labels; or WebDataset's tar files.
    """

    name: Name = Field(description="Name under which it is registered.")
    folder: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\\]+$")] = Field(
        description="Path of the folder, relative to `datasets` in the data directory."
    )
    native_px: StoredSides = Field(
        64,
        description="Side in pixels to which images are cropped and resized, or height and width: `[32, 64]`.",
    )
    layout: Layout | None = Field(
        None,
        description="How the folder is read: `classes` (each folder is a class), `splits` (folders of parts, with one "
        "folder per class), `manifest` (a table of paths and labels) or `shards` (tar files). Null: in the only "
        "possible way.",
    )
    background: Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")] = Field(
        WHITE, description="Colour behind transparent images, as `#rrggbb`."
    )
    channels: Channels | None = Field(
        None,
        description="1 (grey), 3 (RGB) or 4 (RGB and opacity). Null: 1 if all images are grey, otherwise 3, or those "
        "of the data set if it is registered already.",
    )
    validate_only: bool = Field(False, description="Say what is understood of the folder without registering it.")


class CheckProgressItem(ResponseModel):
    """Progress of the check of a folder's images."""

    images: int = Field(description="Number of images decoded so far.")
    total: int = Field(description="Number of images to decode; 0 while they are listed.")


class DatasetItem(ResponseModel):
    """A data set."""

    name: str = Field(description="Name of the data set.")
    owner: Owner
    kind: str = Field(description="How the images are read.")
    task: Task = Field(description="What is learned from it.")
    state: Literal["ready", "checking", "failed", "validated"] = Field(
        description="`ready`: it can be trained on. `checking`: its images are being decoded in the background. "
        "`failed`: it cannot be used, see `error`. `validated`: it was not registered (`validate_only`)."
    )
    progress: CheckProgressItem | None = Field(description="Progress of the check; null unless it is `checking`.")
    error: str | None = Field(description="Why the folder cannot be used; null unless it has `failed`.")
    num_classes: int = Field(description="Number of classes; 0 until the folder has been checked.")
    channels: int = Field(
        description="Number of channels: 1 grey, 3 RGB, 4 RGB and opacity. Networks for a folder in grey or "
        "with opacity take as many."
    )
    native_px: Resolution = Field(description="Side of the stored images in pixels, or height and width.")
    train_images: int | None = Field(
        description="Number of images for training and validation; null until the images are rendered or checked."
    )
    test_images: int | None = Field(description="Number of test images; null until the images are rendered or checked.")
    digest: str = Field(description="SHA-256 of the images and labels; empty until the images are rendered or checked.")
    description: str = Field(description="What the data set contains.")
    built_in: bool = Field(description="Whether it is built in; otherwise it was registered.")
    archived_at: datetime | None = Field(
        description="When the data set was archived and closed to new trainings; null if it was not."
    )
    missing: str | None = Field(description="Why the service cannot read it and what to do; null if it can.")


class SampleItem(ResponseModel):
    """An image as it was understood."""

    path: str = Field(description="Path in the folder.")
    label: str = Field(description="Name of its class.")


class SplitItem(ResponseModel):
    """A part of the data."""

    part: Part = Field(description="What the part is for.")
    images: int = Field(description="Number of images found for it; 0 if they are held out of the training images.")
    source: str = Field(description="Folders or table that it is read from, or what is held out for it.")
    sample: list[SampleItem] = Field(description="Some of its images.")


class ClassItem(ResponseModel):
    """A class and its numbers of images in the parts; null if they are not known."""

    name: str = Field(description="Name of the class. Its position is the number of the network's output.")
    train: int | None = Field(description="Images for training.")
    validation: int | None = Field(description="Images for validation.")
    test: int | None = Field(description="Images for the test.")


class SkippedItem(ResponseModel):
    """Files that were passed over."""

    reason: str = Field(description="Why they were passed over.")
    files: int = Field(description="Number of files; a hidden folder counts as one.")
    examples: list[str] = Field(description="Some of their paths.")


class DatasetDetail(DatasetItem):
    """A data set with its classes, and what was understood of its folder."""

    layout: Layout | None = Field(description="How the folder is read; null for other data sets.")
    background: str = Field(description="Colour behind transparent images.")
    splits: list[SplitItem] = Field(description="Parts of the folder; empty for other data sets.")
    classes: list[ClassItem] = Field(description="Classes, at most the first 1,000.")
    skipped: list[SkippedItem] = Field(description="Files of the folder that were passed over, by reason.")
    samples: list[SampleItem] = Field(
        description="Images of `GET /v1/datasets/{name}/samples.png`, in its order; empty for other data sets."
    )
    warnings: list[str] = Field(description="What may go wrong in a training, in words.")
