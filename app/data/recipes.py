"""How a network is trained, as validated data: what the API accepts and what the worker follows."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.datasets import Task
from app.errors import Invalid


class Recipe(BaseModel):
    """A training recipe. Everything that decides a result, but for the network, the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(5, ge=1, le=1000, description="Passes over the training images.")
    batch_size: int = Field(128, ge=2, le=4096)
    optimizer: Literal["adamw", "rmsprop"] = Field("adamw", description="`rmsprop` has TensorFlow's semantics (timm).")
    lr: float = Field(3e-3, gt=0, le=10, description="Learning rate at its highest.")
    lr_batch: int | None = Field(
        None, ge=1, le=65_536, description="The batch that `lr` is for: scaled in proportion for others. None: any."
    )
    schedule: Literal["cosine", "step"] = Field(
        "cosine", description="After the warm-up: half a cosine down to a hundredth, or times `decay` every so often."
    )
    decay: float = Field(0.97, gt=0, lt=1, description="Of `step`: what the learning rate is multiplied by.")
    decay_epochs: float = Field(2.4, gt=0, le=1000, description="Of `step`: after so many epochs.")
    weight_decay: float = Field(0.02, ge=0, le=1)
    warmup_epochs: float = Field(0.5, ge=0, le=100, description="Epochs of linear rise of the learning rate to `lr`.")
    label_smoothing: float = Field(0.1, ge=0, le=0.9)
    dropout: float = Field(0.0, ge=0, le=0.9, description="Before the classifier.")
    drop_path: float = Field(0.0, ge=0, le=0.9, description="Stochastic depth, at the last block.")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay of an exponential moving average of the weights; none: no average is kept."
    )
    flip: bool = Field(False, description="Mirror training images at random.")
    shift: float = Field(
        0.0, ge=0, le=0.5, description="Shift training images at random by up to this share of their side."
    )
    crop: float | None = Field(
        None, gt=0, le=1, description="Train on random crops of this share of the image's area or more (timm's)."
    )
    colour_jitter: float = Field(
        0.0, ge=0, le=1, description="Brightness, contrast and saturation changed at random by up to so much (timm's)."
    )
    randaugment: float | None = Field(
        None,
        ge=0,
        le=10,
        description="RandAugment's magnitude: two operations an image, varied by .5 (timm's).",
    )
    train_images: int | None = Field(
        None, ge=20, le=10_000_000, description="Train on this many images (a fixed, balanced choice); none: on all."
    )

    @model_validator(mode="after")
    def _warm_in_time(self) -> Recipe:
        if self.warmup_epochs > self.epochs:
            raise ValueError("warmup_epochs is more than epochs: the rate would never reach lr")
        return self

    @property
    def highest_lr(self) -> float:
        """The learning rate at its highest, for this batch size."""
        return self.lr if self.lr_batch is None else self.lr * self.batch_size / self.lr_batch

    def decisive(self) -> dict[str, Any]:
        """What decides a result, as plain data: options that came later are there where they are not the default.

        So that what was trained before they came is found again.
        """
        return {
            name: value
            for name, value in self.model_dump().items()
            if name not in _LATER or value != type(self).model_fields[name].default
        }


_LATER = ("lr_batch", "schedule", "decay", "decay_epochs", "crop", "colour_jitter", "randaugment")

_TINYNET = Recipe(
    epochs=450,
    batch_size=1024,
    optimizer="rmsprop",
    lr=0.048,
    lr_batch=1024,
    schedule="step",
    decay=0.97,
    decay_epochs=2.4,
    weight_decay=1e-5,
    warmup_epochs=3,
    label_smoothing=0.1,
    dropout=0.2,
    ema_decay=0.9999,
    flip=True,
    crop=0.08,
    colour_jitter=0.4,
)

_OF_CLASSIFICATION = {
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "crop": None,
    "colour_jitter": 0.0,
    "randaugment": None,
}  # options that detectors do not know, and the values that turn them off

PRESETS: dict[str, Recipe] = {
    "quick": Recipe(epochs=4, batch_size=64, shift=0.08, train_images=10_000),
    "digits-smoke": Recipe(epochs=2, batch_size=64),
    "tinynet": _TINYNET,
    "tinynet-ra": _TINYNET.model_copy(update={"randaugment": 9.0, "colour_jitter": 0.0}),
    "detection-quick": Recipe(
        epochs=8,
        batch_size=16,
        lr=0.008,
        flip=True,
        **_OF_CLASSIFICATION,  # type: ignore[arg-type]
    ),
}
"""`tinynet` is the paper's (its .048 is for a batch of 128 on each of 8 GPUs); `tinynet-ra` the same with RandAugment,
which replaces colour jitter as it does in timm."""

_OF_DETECTION = ("detection-quick",)


def recipe_for(task: Task, given: Recipe | str | None, pointer: str) -> Recipe:
    """The recipe, or the preset of that name, for data sets of a task; `pointer` says where it was given.

    None: the task's quick one.

    Detectors have none of classification's own options: off by default there, refused where they were asked for.
    Raises: Invalid.
    """
    if given is None:
        return PRESETS["detection-quick" if task == "detection" else "quick"]
    if isinstance(given, str):
        if (given in _OF_DETECTION) != (task == "detection"):
            others = [name for name in PRESETS if (name in _OF_DETECTION) == (task == "detection")]
            raise Invalid(pointer, f"{given!r} is no recipe for {task}; take {' or '.join(others)}, or its options.")
        return PRESETS[given]
    if task == "classification":
        return given
    for option, off in _OF_CLASSIFICATION.items():
        if option in given.model_fields_set and getattr(given, option) != off:
            why = f"{option} has no meaning for detection: leave it out (`detection-quick` is a preset that does)."
            raise Invalid(f"{pointer}/{option}", why)
    return given.model_copy(update=_OF_CLASSIFICATION)
