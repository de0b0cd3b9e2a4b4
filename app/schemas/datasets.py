"""Image sets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from app.datasets import Task
from app.schemas.common import Answer, Body, Name


class NewDataset(Body):
    """A folder of images below the data root: `<class>/*`, or `train/<class>/*` with `val/`, `test/` or both."""

    name: Name
    folder: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\\]+$")]
    native_px: int = Field(64, ge=8, le=512, description="Images are brought to this side.")


class DatasetItem(Answer):
    name: str
    kind: str
    task: Task = Field(description="What trials on it learn: to name an image, or to find what is in it.")
    num_classes: int
    channels: int
    native_px: int
    train_images: int | None = Field(description="Validation among them; null where they are yet to be drawn.")
    test_images: int | None
    digest: str = Field(
        description="SHA-256 of the data; empty where fonts are yet to be settled on, by the first use."
    )
    description: str
    missing: str | None = Field(description="Why it cannot be read on this machine, and how to get it; null: it can.")
