"""From stored images to a network's input: channels, size, normalisation, augmentation. All by the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from app.recipes import Recipe
from worker.datasets import Images

_CHUNK = 2048
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL's


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the training images, of all channels together, pixels from 0 to 255."""

    mean: float
    sd: float

    @classmethod
    def of(cls, images: Images) -> Normalisation:
        pixels = images.pixels.flatten()[:: max(1, images.pixels.numel() // 10_000_000)].double()
        return cls(float(pixels.mean()), max(float(pixels.std()), 1.0))


def prepared(images: Images, channels: int, px: int, normalisation: Normalisation) -> Tensor:
    """All images as float32 [n, channels, px, px], resized with antialiasing."""
    chunks = images.pixels.split(_CHUNK)
    return torch.cat([_prepared(chunk, channels, px, normalisation) for chunk in chunks])


def augmented(batch: Tensor, recipe: Recipe, random: torch.Generator) -> Tensor:
    """The batch shifted and mirrored as the recipe says; each image by its own draw, edges repeated."""
    if recipe.flip:
        mirrored = torch.rand(len(batch), generator=random) < 0.5
        batch = torch.where(mirrored[:, None, None, None], batch.flip(-1), batch)
    reach = round(recipe.shift * batch.shape[-1])
    return _shifted(batch, reach, random) if reach else batch


def _prepared(pixels: Tensor, channels: int, px: int, normalisation: Normalisation) -> Tensor:
    batch = (pixels.float() - normalisation.mean) / normalisation.sd
    if channels == 1 and batch.shape[1] == 3:
        batch = (batch * torch.tensor(_LUMINANCE)[:, None, None]).sum(1, keepdim=True)
    elif batch.shape[1] == 1 and channels > 1:
        batch = batch.expand(-1, channels, -1, -1)
    if batch.shape[-1] != px:
        batch = functional.interpolate(batch, (px, px), mode="bilinear", antialias=True, align_corners=False)
    return batch.contiguous(memory_format=torch.channels_last)


def _shifted(batch: Tensor, reach: int, random: torch.Generator) -> Tensor:
    n, _, px, _ = batch.shape
    offsets = torch.randint(-reach, reach + 1, (2, n, 1), generator=random)
    rows, columns = (torch.arange(px) + offset for offset in offsets)
    rows, columns = rows.clamp(0, px - 1), columns.clamp(0, px - 1)
    return batch[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
