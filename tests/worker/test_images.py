"""Stored images become a network's input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from timm.data import create_transform
from torch import Tensor
from torch.nn import functional

import worker.data.preprocessing
from app.data.recipes import Recipe
from tests.worker.support import images
from worker.data.preprocessing import NetworkInputs, Normalisation, augment, resize_px

IDENTITY = Normalisation((0.0,), (1.0,))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def everything(inputs: NetworkInputs) -> Tensor:
    return inputs[torch.arange(len(inputs))]


def test_each_channel_of_training_images_has_mean_0_and_deviation_1() -> None:
    part = images(300, channels=3)
    part.pixels[:, 1] //= 2

    prepared = everything(NetworkInputs(part, 3, 8, Normalisation.from_images(part, 3)))

    assert prepared.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert prepared.std((0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_uniform_images_are_normalised_to_zero() -> None:
    part = images(4)
    blank = replace(part, pixels=torch.full_like(part.pixels, 7))

    assert not everything(NetworkInputs(blank, 1, 8, Normalisation.from_images(blank, 1))).any()


def test_grey_images_are_repeated_to_three_channels() -> None:
    part = images(5)

    prepared = everything(NetworkInputs(part, 3, 8, IDENTITY))

    assert torch.equal(prepared, part.pixels.float().expand(5, 3, 8, 8))


def test_colours_become_luminance_for_one_channel() -> None:
    part = images(5, channels=3)

    prepared = everything(NetworkInputs(part, 1, 8, IDENTITY))

    red, green, blue = part.pixels.float().unbind(1)
    assert torch.allclose(prepared[:, 0], 0.299 * red + 0.587 * green + 0.114 * blue)


def test_opacity_is_left_out_for_three_channels() -> None:
    part = images(5, channels=4)

    assert torch.equal(everything(NetworkInputs(part, 3, 8, IDENTITY)), part.pixels[:, :3].float())


@pytest.mark.parametrize(("px", "crop_pct", "resized"), [(8, 0.875, 9), (10, 0.875, 11), (12, 0.5, 24), (7, 1.0, 7)])
def test_evaluation_resizes_and_crops_as_timm(px: int, crop_pct: float, resized: int) -> None:
    part = images(5, channels=3)
    theirs = create_transform((3, px, px), crop_pct=crop_pct).transforms
    assert theirs[0].size == resized == resize_px(px, crop_pct)
    size = (resized, resized)
    whole = functional.interpolate(part.pixels.float(), size, mode="bilinear", antialias=True, align_corners=False)

    inputs = NetworkInputs(part, 3, px, IDENTITY, crop_pct)

    assert torch.equal(everything(inputs), theirs[1](whole))
    assert torch.equal(everything(inputs.prepare()), theirs[1](whole))


@pytest.mark.parametrize("px", [4, 13, 16])
def test_images_are_resized_and_keep_their_mean(px: int) -> None:
    part = images(5)

    prepared = everything(NetworkInputs(part, 1, px, IDENTITY))

    assert prepared.shape == (5, 1, px, px)
    assert torch.allclose(prepared.mean((1, 2, 3)), part.pixels.float().mean((1, 2, 3)), rtol=0.1)


def test_large_sets_are_converted_batchwise_with_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = images(50, channels=3)
    in_advance = everything(NetworkInputs(part, 1, 12, IDENTITY).prepare())

    monkeypatch.setattr(worker.data.preprocessing, "_MAX_PREPARED_BYTES", 0)
    batchwise = NetworkInputs(part, 1, 12, IDENTITY).prepare()

    assert torch.equal(batchwise[torch.tensor([4, 2, 49])], in_advance[[4, 2, 49]])
    assert torch.equal(torch.cat([batchwise[batch] for batch in batchwise.batches()]), in_advance)


def test_batches_cover_all_images_in_order() -> None:
    inputs = NetworkInputs(images(1100), 1, 8, IDENTITY)

    assert torch.equal(torch.cat([inputs.labels[batch] for batch in inputs.batches()]), inputs.labels)


def test_batch_without_augmentation_is_unchanged() -> None:
    batch = torch.rand(4, 1, 8, 8)

    assert torch.equal(augment(batch, Recipe(), generator()), batch)


def test_flip_mirrors_about_half_of_images() -> None:
    batch = torch.rand(200, 3, 8, 8)

    flipped = augment(batch, Recipe(flip=True), generator())

    mirrored = [not torch.equal(new, old) for new, old in zip(flipped, batch, strict=True)]
    assert all(
        torch.equal(new, old.flip(-1) if was else old) for new, old, was in zip(flipped, batch, mirrored, strict=True)
    )
    assert 70 < sum(mirrored) < 130


def test_shift_moves_images_within_reach_and_repeats_edges() -> None:
    batch = torch.rand(100, 2, 8, 8)
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2), mode="replicate")

    shifted = augment(batch, Recipe(shift=0.25), generator())

    offsets = set()
    for image, wide in zip(shifted, padded, strict=True):
        matches = [(y, x) for y in range(5) for x in range(5) if torch.equal(image, wide[:, y : y + 8, x : x + 8])]
        assert matches
        offsets.update(matches)
    assert len(offsets) == 25


def test_same_seed_augments_equally() -> None:
    batch, recipe = torch.rand(20, 1, 8, 8), Recipe(flip=True, shift=0.25)

    assert torch.equal(augment(batch, recipe, generator()), augment(batch, recipe, generator()))
