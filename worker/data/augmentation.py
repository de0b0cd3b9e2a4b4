"""A recipe's augmentation of training images: of whole batches, or of each image by timm's transforms."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from app.data.recipes import Recipe
from worker.data.preprocessing import NetworkInputs, augment

_RANDAUGMENT_LAYERS, _RANDAUGMENT_DEVIATION = 2, 0.5  # as in the paper's training


class Augmentation:
    """Augments training images as a recipe says, with a given random generator.

    Crops, colour jitter and RandAugment are timm's, which transform one stored image at a time. Without them, whole
    batches are flipped and shifted.
    """

    def __init__(self, images: NetworkInputs, recipe: Recipe) -> None:
        self._images, self._recipe = images, recipe
        self._transform: Callable[[Image.Image], NDArray[np.uint8]] | None = None
        if recipe.crop is not None or recipe.colour_jitter or recipe.randaugment is not None:
            self._transform = _create_timm_transform(images, recipe)
            self._recipe = recipe.model_copy(update={"flip": False})

    @property
    def is_per_image(self) -> bool:
        return self._transform is not None

    def __call__(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return the images of these indices as the network takes them, augmented."""
        if self._transform is None:
            return augment(self._images[indices], self._recipe, generator)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        with torch.random.fork_rng(devices=[]):  # so that the transforms do not change the state that dropout uses
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
            stored = self._images.stored_pixels(indices)
            stored = stored.expand(-1, 3, -1, -1) if stored.shape[1] == 1 else stored
            pictures = (to_pil_image(image) for image in stored)  # type: ignore[no-untyped-call]
            pixels = np.stack([self._transform(picture) for picture in pictures])
        return augment(self._images.convert(torch.from_numpy(pixels)), self._recipe, generator)


def _create_timm_transform(images: NetworkInputs, recipe: Recipe) -> Callable[[Image.Image], NDArray[np.uint8]]:
    auto_augment = None
    if recipe.randaugment is not None:
        auto_augment = f"rand-m{recipe.randaugment:g}-n{_RANDAUGMENT_LAYERS}-mstd{_RANDAUGMENT_DEVIATION}"
    height, width = images.sides
    aspect = width / height
    transform: Callable[[Image.Image], NDArray[np.uint8]] = create_transform(
        (3, height, width),
        is_training=True,
        use_prefetcher=True,  # returns uint8 without normalisation
        scale=(recipe.crop or 1.0, 1.0),
        ratio=(3 / 4 * aspect, 4 / 3 * aspect) if recipe.crop else (aspect, aspect),
        hflip=0.5 if recipe.flip else 0.0,
        color_jitter=recipe.colour_jitter or None,  # type: ignore[arg-type]  # timm accepts None but does not declare it
        auto_augment=auto_augment,
        interpolation="bilinear",
        mean=tuple(level / 255 for level in images.mean_colour),
    )
    return transform
