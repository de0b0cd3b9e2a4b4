"""Training recipes: validated data that the API accepts and the worker trains by."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from app.core.errors import InvalidRequest
from app.core.json_scalars import JsonScalarsModel
from app.data.builtin_datasets import Dataset, Task
from app.data.preset_names import PresetName, is_for_detection
from app.data.weight_sources import Distillation, WeightSource


def _remove_default(schema: dict[str, Any]) -> None:
    """Remove a default from the OpenAPI document that depends on the baseline, so that no client sends it."""
    del schema["default"]


InitialWeights = Annotated[
    Annotated[WeightSource, Tag("<source>")] | Annotated[Literal["scratch", "timm"], Tag("<name>")],
    Discriminator(lambda value: "<name>" if isinstance(value, str) else "<source>"),
]


class Recipe(JsonScalarsModel):
    """All settings of a training except network, data and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(5, ge=1, le=1000, description="Number of passes over the training images.")
    batch_size: int = Field(128, ge=2, le=4096, description="Number of images per step.")
    optimizer: Literal["adamw", "rmsprop"] = Field(
        "adamw", description="Optimizer; `rmsprop` is timm's variant with the semantics of TensorFlow."
    )
    lr: float = Field(3e-3, gt=0, le=10, description="Peak learning rate.")
    lr_batch: int | None = Field(
        None, ge=1, le=65_536, description="Batch size that `lr` is for; it is scaled in proportion. Null: no scaling."
    )
    schedule: Literal["cosine", "step"] = Field(
        "cosine", description="Learning rate after the warm-up: half a cosine to a hundredth, or steps of `decay`."
    )
    decay: float = Field(0.97, gt=0, lt=1, description="Factor of the learning rate at each step (`step`).")
    decay_epochs: float = Field(2.4, gt=0, le=1000, description="Epochs between steps (`step`).")
    weight_decay: float = Field(0.02, ge=0, le=1, description="Weight decay of the optimizer.")
    warmup_epochs: float = Field(
        0.5, ge=0, le=100, description="Epochs over which the learning rate rises linearly to `lr`."
    )
    label_smoothing: float = Field(0.1, ge=0, le=0.9, description="Amount of label smoothing.")
    dropout: float = Field(0.0, ge=0, le=0.9, description="Dropout rate before the classifier.")
    drop_path: float = Field(0.0, ge=0, le=0.9, description="Stochastic depth: drop rate of the last block.")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay of an exponential moving average of the weights; null: no average."
    )
    flip: bool = Field(False, description="Randomly mirror training images.")
    shift: float = Field(
        0.0, ge=0, le=0.5, description="Randomly shift training images by up to this fraction of their side."
    )
    crop: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Smallest area of random crops, as a fraction of the image (timm); null: no crops.",
    )
    colour_jitter: float = Field(
        0.0, ge=0, le=1, description="Largest random change of brightness, contrast and saturation (timm)."
    )
    randaugment: float | None = Field(
        None,
        ge=0,
        le=10,
        description="Magnitude of RandAugment: two operations per image, varied by 0.5 (timm); null: off.",
    )
    crop_pct: float = Field(
        1.0,
        ge=0.5,
        le=1,
        description="Share of the side that is evaluated: images are resized to px / `crop_pct`, rounded down, and the "
        "centre px are cropped (timm). If it is not given, it is 0.875 for baselines named `tinynet…`, else 1.",
        json_schema_extra=_remove_default,
    )
    train_images: int | None = Field(
        None, ge=20, le=10_000_000, description="Number of training images, a fixed balanced subset; null: all."
    )
    init: InitialWeights = Field(
        "scratch",
        description="Initial weights: random ones (`scratch`), timm's of the baseline (`timm`), or of another source. "
        "A smaller network takes evenly spaced channels of each layer and the first blocks of each stage.",
    )
    distill: Distillation | None = Field(
        None, description="A trained network from which the classifier learns besides the labels; null: labels only."
    )
    freeze_epochs: int = Field(
        0,
        ge=0,
        le=1000,
        description="Epochs at the beginning that train the classifier (of a detector all but the backbone) alone; as "
        "many as `epochs`: a linear probe.",
    )
    layer_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Factor of the learning rate from each layer to the one before it (timm); null: one rate.",
    )

    @model_validator(mode="after")
    def _check_epochs(self) -> Recipe:
        if self.warmup_epochs > self.epochs:
            raise ValueError("warmup_epochs must not exceed epochs")
        if self.freeze_epochs > self.epochs:
            raise ValueError("freeze_epochs must not exceed epochs")
        return self

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Recipe:
        return cls(**plain)

    def to_json(self) -> dict[str, Any]:
        return self.model_dump()

    @property
    def highest_lr(self) -> float:
        """The learning rate at its highest, for this batch size."""
        return self.lr if self.lr_batch is None else self.lr * self.batch_size / self.lr_batch

    def determining_options(self) -> dict[str, Any]:
        """Return the options that determine a result; options added later are left out if they have the default.

        Thus the fingerprints of trials from before they were added stay the same.
        """
        return {
            name: value
            for name, value in self.model_dump().items()
            if name not in _ADDED_LATER or value != type(self).model_fields[name].default
        }

    @property
    def sources(self) -> list[WeightSource]:
        """The trained weights that the training uses."""
        init = [self.init] if isinstance(self.init, WeightSource) else []
        return init + ([self.distill.teacher] if self.distill else [])

    def describe_start(self) -> str:
        """Say in words what the training starts from and learns from; empty if it is random weights and labels."""
        parts = [f"initialised with {self.init}"] if isinstance(self.init, WeightSource) else []
        if self.distill:
            how = "features" if self.distill.match == "features" else f"temperature {self.distill.temperature:g}"
            options = f"{how}, weight {self.distill.weight:g}"
            parts.append(f"distilled from {self.distill.teacher} ({options})")
        return " and ".join(parts)


_ADDED_LATER = (
    "lr_batch", "schedule", "decay", "decay_epochs", "crop", "colour_jitter", "randaugment", "crop_pct", "init",
    "distill", "freeze_epochs", "layer_decay",
)  # fmt: skip

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

_CLASSIFICATION_OPTIONS_OFF = {
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "crop": None,
    "colour_jitter": 0.0,
    "randaugment": None,
    "crop_pct": 1.0,
    "distill": None,
    "layer_decay": None,
}  # options that detectors do not support, with the values that turn them off

_TINYNET_CROP_PCT = 0.875  # that of the published TinyNets, also in timm

PRESETS: dict[PresetName, Recipe] = {
    "quick": Recipe(epochs=4, batch_size=64, shift=0.08, train_images=10_000),
    "digits-smoke": Recipe(epochs=2, batch_size=64),
    "tinynet": _TINYNET,
    "tinynet-ra": _TINYNET.model_copy(update={"randaugment": 9.0, "colour_jitter": 0.0}),
    "detection-quick": Recipe(
        epochs=8,
        batch_size=16,
        lr=0.008,
        flip=True,
        **_CLASSIFICATION_OPTIONS_OFF,
    ),
}
"""`tinynet` is the paper's (its .048 is for a batch of 128 on each of 8 GPUs); `tinynet-ra` the same with RandAugment,
which replaces colour jitter as it does in timm."""


def recipe_for(dataset: Dataset, recipe: Recipe | PresetName | None, pointer: str, architecture: str = "") -> Recipe:
    """Return the recipe, or the preset of that name (None: the task's quick one), checked for a data set.

    `pointer` is its position in the request. Detectors do not support the options for classification: they are turned
    off, and rejected if they were set explicitly. Classifiers scaled from an `architecture` named `tinynet…` are
    evaluated with `crop_pct` .875 unless it was set explicitly.
    Raises: InvalidRequest.
    """
    found = _recipe_of_task(dataset.task, recipe, pointer)
    if dataset.channels == 4 and (found.colour_jitter or found.randaugment is not None):
        raise InvalidRequest(pointer, "Colour jitter and RandAugment take 1 or 3 channels; the images have 4.")
    is_set = isinstance(recipe, Recipe) and "crop_pct" in recipe.model_fields_set
    if dataset.task == "classification" and architecture.startswith("tinynet") and not is_set:
        return found.model_copy(update={"crop_pct": _TINYNET_CROP_PCT})
    return found


def _recipe_of_task(task: Task, recipe: Recipe | PresetName | None, pointer: str) -> Recipe:
    if recipe is None:
        return PRESETS["detection-quick" if task == "detection" else "quick"]
    if isinstance(recipe, str):
        if is_for_detection(recipe) != (task == "detection"):
            others = [name for name in PRESETS if is_for_detection(name) == (task == "detection")]
            raise InvalidRequest(
                pointer, f"{recipe!r} is not a recipe for {task}; use {' or '.join(others)}, or specify the options."
            )
        return PRESETS[recipe]
    if task == "classification":
        return recipe
    for option, off in _CLASSIFICATION_OPTIONS_OFF.items():
        if option in recipe.model_fields_set and getattr(recipe, option) != off:
            why = f"{option} does not apply to detection; omit it (see the preset `detection-quick`)."
            raise InvalidRequest(f"{pointer}/{option}", why)
    return recipe.model_copy(update=_CLASSIFICATION_OPTIONS_OFF)
