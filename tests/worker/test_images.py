"""Stored images become a network's input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import worker.images
from app.recipes import Recipe
from tests.worker.support import images
from worker.images import Inputs, Normalisation, augmented

PLAIN = Normalisation(0.0, 1.0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def everything(inputs: Inputs) -> Tensor:
    return inputs[torch.arange(len(inputs))]


def test_training_images_are_normalised_to_mean_0_and_deviation_1() -> None:
    part = images(300, channels=3)

    prepared = everything(Inputs(part, 3, 8, Normalisation.of(part)))

    assert prepared.mean().item() == pytest.approx(0, abs=1e-5)
    assert prepared.std().item() == pytest.approx(1, abs=1e-5)


def test_images_of_one_colour_do_not_divide_by_zero() -> None:
    part = images(4)
    blank = replace(part, pixels=torch.full_like(part.pixels, 7))

    assert torch.equal(everything(Inputs(blank, 1, 8, Normalisation.of(blank))), torch.zeros(4, 1, 8, 8))


def test_grey_images_are_repeated_for_a_network_of_three_channels() -> None:
    part = images(5)

    prepared = everything(Inputs(part, 3, 8, PLAIN))

    assert torch.equal(prepared, part.pixels.float().expand(5, 3, 8, 8))


def test_colours_become_luminance_for_a_network_of_one_channel() -> None:
    part = images(5, channels=3)

    prepared = everything(Inputs(part, 1, 8, PLAIN))

    red, green, blue = part.pixels.float().unbind(1)
    assert torch.allclose(prepared[:, 0], 0.299 * red + 0.587 * green + 0.114 * blue)


@pytest.mark.parametrize("px", [4, 13, 16])
def test_images_come_at_the_networks_size_and_keep_their_mean_tone(px: int) -> None:
    part = images(5)

    prepared = everything(Inputs(part, 1, px, PLAIN))

    assert prepared.shape == (5, 1, px, px)
    assert torch.allclose(prepared.mean((1, 2, 3)), part.pixels.float().mean((1, 2, 3)), rtol=0.1)


def test_sets_too_large_for_memory_are_prepared_by_the_batch_to_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = images(50, channels=3)
    at_once = everything(Inputs(part, 1, 12, PLAIN).prepare())

    monkeypatch.setattr(worker.images, "_AT_ONCE_BYTES", 0)
    by_the_batch = Inputs(part, 1, 12, PLAIN).prepare()

    assert torch.equal(by_the_batch[torch.tensor([4, 2, 49])], at_once[[4, 2, 49]])
    assert torch.equal(torch.cat([by_the_batch[batch] for batch in by_the_batch.batches()]), at_once)


def test_batches_go_through_all_images_once_in_order() -> None:
    inputs = Inputs(images(1100), 1, 8, PLAIN)

    assert torch.equal(torch.cat([inputs.labels[batch] for batch in inputs.batches()]), inputs.labels)


def test_without_augmentation_a_batch_stays_as_it_is() -> None:
    batch = torch.rand(4, 1, 8, 8)

    assert torch.equal(augmented(batch, Recipe(), generator()), batch)


def test_mirroring_turns_about_half_of_the_images_around() -> None:
    batch = torch.rand(200, 3, 8, 8)

    flipped = augmented(batch, Recipe(flip=True), generator())

    turned = [not torch.equal(new, old) for new, old in zip(flipped, batch, strict=True)]
    assert all(
        torch.equal(new, old.flip(-1) if was else old) for new, old, was in zip(flipped, batch, turned, strict=True)
    )
    assert 70 < sum(turned) < 130


def test_shifting_moves_each_image_within_reach_and_repeats_its_edges() -> None:
    batch = torch.rand(100, 2, 8, 8)
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2), mode="replicate")

    shifted = augmented(batch, Recipe(shift=0.25), generator())

    places = set()
    for image, wide in zip(shifted, padded, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(image, wide[:, y : y + 8, x : x + 8])]
        assert found
        places.update(found)
    assert len(places) == 25


def test_the_same_generator_augments_alike() -> None:
    batch, recipe = torch.rand(20, 1, 8, 8), Recipe(flip=True, shift=0.25)

    assert torch.equal(augmented(batch, recipe, generator()), augmented(batch, recipe, generator()))
