"""How a network is trained, as validated data: what the API accepts and what the worker follows."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Recipe(BaseModel):
    """A training recipe. Everything that decides a result, but for the network, the data and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(5, ge=1, le=1000, description="Passes over the training images.")
    batch_size: int = Field(128, ge=2, le=4096)
    optimizer: Literal["adamw", "rmsprop"] = Field("adamw", description="`rmsprop` has TensorFlow's semantics (timm).")
    lr: float = Field(3e-3, gt=0, le=10, description="Learning rate at its highest.")
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
    train_images: int | None = Field(
        None, ge=20, le=10_000_000, description="Train on this many images (a fixed, balanced choice); none: on all."
    )

    @model_validator(mode="after")
    def _warm_in_time(self) -> Recipe:
        if self.warmup_epochs > self.epochs:
            raise ValueError("warmup_epochs is more than epochs: the rate would never reach lr")
        return self


PRESETS: dict[str, Recipe] = {
    "quick": Recipe(epochs=4, batch_size=64, shift=0.08, train_images=10_000),
    "digits-smoke": Recipe(epochs=2, batch_size=64),
}
