"""What a recipe does to training images: to whole batches, or by timm's transforms where it asks for those."""

from __future__ import annotations

import random as pythons
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data import create_transform
from torch import Tensor

from app.recipes import Recipe
from worker.images import Inputs, augmented

_LAYERS, _DEVIATION = 2, 0.5  # RandAugment's, as the paper's training has them


class Augmentation:
    """How a recipe wants training images changed, by the draws of a generator.

    Crops, colour jitter and RandAugment are timm's, an image at a time from the stored pixels; mirroring and shifts
    alone are done to whole batches.
    """

    def __init__(self, images: Inputs, recipe: Recipe) -> None:
        self._images, self._recipe = images, recipe
        self._transform: Callable[[Image.Image], NDArray[np.uint8]] | None = None
        if recipe.crop is not None or recipe.colour_jitter or recipe.randaugment is not None:
            self._transform = _timms(images, recipe)
            self._recipe = recipe.model_copy(update={"flip": False})

    @property
    def by_image(self) -> bool:
        """Whether images are changed one at a time."""
        return self._transform is not None

    def __call__(self, chosen: Tensor, random: torch.Generator) -> Tensor:
        """The images of these indices as the network takes them, changed."""
        if self._transform is None:
            return augmented(self._images[chosen], self._recipe, random)
        seed = int(torch.randint(2**31, (1,), generator=random))
        with torch.random.fork_rng(devices=[]):  # dropout's draws are not the transforms'
            torch.manual_seed(seed)
            pythons.seed(seed)
            np.random.seed(seed)
            pixels = np.stack([self._transform(_picture(image)) for image in self._images.pixels(chosen)])
        return augmented(self._images.taken(torch.from_numpy(pixels)), self._recipe, random)


def _timms(images: Inputs, recipe: Recipe) -> Callable[[Image.Image], NDArray[np.uint8]]:
    mean = images.grey / 255
    transform: Callable[[Image.Image], NDArray[np.uint8]] = create_transform(
        (3, images.px, images.px),
        is_training=True,
        use_prefetcher=True,  # gives uint8 and leaves normalisation to us
        scale=(recipe.crop or 1.0, 1.0),
        ratio=None if recipe.crop else (1.0, 1.0),
        hflip=0.5 if recipe.flip else 0.0,
        color_jitter=recipe.colour_jitter or None,
        auto_augment=None if recipe.randaugment is None else _randaugment(recipe.randaugment),
        interpolation="bilinear",
        mean=(mean, mean, mean),
    )
    return transform


def _randaugment(magnitude: float) -> str:
    return f"rand-m{magnitude:g}-n{_LAYERS}-mstd{_DEVIATION}"


def _picture(pixels: Tensor) -> Image.Image:
    """A stored image in PIL's way, in colour."""
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())
