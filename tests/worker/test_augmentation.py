"""Augmentation follows the recipe and the given random generator."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from app.data.recipes import Recipe
from tests.worker.support import images
from worker.data.augmentation import Augmentation
from worker.data.image_store import Images
from worker.data.preprocessing import NetworkInputs, Normalisation

CROPS = Recipe(crop=0.3)
JITTER = Recipe(colour_jitter=0.4)
RANDAUGMENT = Recipe(randaugment=9, flip=True)
TIMM_RECIPES = [CROPS, JITTER, RANDAUGMENT, Recipe(crop=0.08, colour_jitter=0.4, flip=True, shift=0.1)]


def inputs(channels: int = 3, px: int = 16, stored: Images | None = None) -> NetworkInputs:
    stored = stored or images(24, channels=3, px=20)
    return NetworkInputs(stored, channels, px, Normalisation.from_images(stored, channels))


def augmented(recipe: Recipe, seed: int, whole: NetworkInputs | None = None) -> Tensor:
    whole = whole or inputs()
    return Augmentation(whole, recipe)(torch.arange(len(whole)), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("recipe", TIMM_RECIPES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("px", [8, 20, 33])
def test_augmented_images_have_size_and_channels_of_network(recipe: Recipe, channels: int, px: int) -> None:
    batch = augmented(recipe, 0, inputs(channels, px))

    assert batch.shape == (24, channels, px, px)
    assert batch.dtype == torch.float32
    assert batch.isfinite().all()


@pytest.mark.parametrize("recipe", TIMM_RECIPES)
def test_grey_images_can_be_augmented(recipe: Recipe) -> None:
    batch = augmented(recipe, 0, inputs(1, 8, images(12, channels=1, px=8)))

    assert batch.shape == (12, 1, 8, 8)


@pytest.mark.parametrize("recipe", TIMM_RECIPES)
def test_augmentation_depends_on_generator_only(recipe: Recipe) -> None:
    first = augmented(recipe, 7)
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)

    assert torch.equal(augmented(recipe, 7), first)
    assert not torch.equal(augmented(recipe, 8), first)


def test_augmentation_keeps_global_random_state() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    augmented(RANDAUGMENT, 0)

    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("recipe", [CROPS, JITTER, RANDAUGMENT])
def test_each_option_changes_images(recipe: Recipe) -> None:
    whole = inputs()
    plain = whole[torch.arange(len(whole))]

    changed = (augmented(recipe, 1, whole) - plain).flatten(1).abs().amax(1) > 0.05

    assert changed.double().mean() > 0.7
    assert torch.equal(augmented(Recipe(), 1, whole), plain)


def test_colour_jitter_does_not_move_shapes() -> None:
    pixels = torch.zeros(40, 3, 16, 16, dtype=torch.uint8)
    pixels[:, :, 4:12, 4:12] = 200
    whole = inputs(3, 16, Images(pixels, torch.zeros(40, dtype=torch.int64)))

    batch = augmented(JITTER, 0, whole)

    inner, outer = batch[:, :, 5:11, 5:11], batch[:, :, 0:3, 0:3]
    assert (inner.amax((2, 3)) - inner.amin((2, 3))).max() < 1e-5
    assert (inner.mean((1, 2, 3)) > outer.mean((1, 2, 3))).all()
    assert inner.mean((1, 2, 3)).std() > 0.05


def test_crops_have_area_of_recipe() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).repeat(64, 1).expand(200, 3, 64, 64).contiguous()
    whole = inputs(3, 64, Images(ramp, torch.zeros(200, dtype=torch.int64)))

    batch = augmented(Recipe(crop=0.5), 0, whole)

    widths = (batch[:, 0, 32, -1] - batch[:, 0, 32, 0]) * float(ramp.double().std()) / 63
    assert widths.min() > 0.5**0.5 * (3 / 4) ** 0.5 - 0.05
    assert widths.max() <= 1.01
    assert widths.std() > 0.03
