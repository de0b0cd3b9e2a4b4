"""What a recipe does to training images: to whole batches, or by timm's transforms where it asks for those."""

from __future__ import annotations

import random as pythons
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor

from app.recipes import Recipe
from worker.images import Inputs, augmented

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Training images by their indices, augmented by draws of the generator, as the network takes them."""

_LAYERS, _DEVIATION = 2, 0.5  # RandAugment's, as the paper's training has them


def augmentation(images: Inputs, recipe: Recipe) -> Augment:
    """How the recipe wants training images changed.

    Crops, colour jitter and RandAugment are timm's, an image at a time from the stored pixels; mirroring and shifts
    alone are done to whole batches.
    """
    if recipe.crop is None and not recipe.colour_jitter and recipe.randaugment is None:
        return lambda chosen, random: augmented(images[chosen], recipe, random)
    mean = images.grey / 255
    transform = create_transform(
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
    rest = recipe.model_copy(update={"flip": False})

    def changed(chosen: Tensor, random: torch.Generator) -> Tensor:
        seed = int(torch.randint(2**31, (1,), generator=random))
        with torch.random.fork_rng(devices=[]):  # dropout's draws are not the transforms'
            torch.manual_seed(seed)
            pythons.seed(seed)
            np.random.seed(seed)
            pixels = np.stack([transform(_picture(image)) for image in images.pixels(chosen)])
        return augmented(images.taken(torch.from_numpy(pixels)), rest, random)

    return changed


def _randaugment(magnitude: float) -> str:
    return f"rand-m{magnitude:g}-n{_LAYERS}-mstd{_DEVIATION}"


def _picture(pixels: Tensor) -> Image.Image:
    """A stored image in PIL's way, in colour."""
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())
