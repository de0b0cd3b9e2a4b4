"""Converts batches of stored images to a network's input: channels, size, normalisation and augmentation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from app.data.image_decoding import centre_crop
from app.data.recipes import Recipe
from app.scaling.resolution import Resolution, sides_of
from worker.data.image_store import Images

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in PIL
_MAX_PREPARED_BYTES = 1 << 30
_MAX_SAMPLED_VALUES = 10_000_000  # from which mean and deviation are computed
_MAX_BATCH_IMAGES, _MAX_BATCH_PIXELS = 512, 1 << 20  # pixels are counted at the larger of stored and input size


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel over the training images, for pixels from 0 to 255."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]

    @classmethod
    def from_images(cls, images: Images, channels: int) -> Normalisation:
        """Compute both over all images with this number of channels, or over evenly spaced ones of a large set."""
        values_per_image = images.pixels[:1].numel()
        sample = images.pixels[:: max(1, values_per_image * len(images) // _MAX_SAMPLED_VALUES)]
        pixels = adapt_channels(sample.double(), channels)
        means, sds = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp(min=1.0)
        return cls(tuple(means.tolist()), tuple(sds.tolist()))

    def to_json(self) -> dict[str, list[float]]:
        return {"mean": list(self.mean), "sd": list(self.sd)}


def adapt_channels(batch: Tensor, channels: int) -> Tensor:
    """Convert images [n, c, h, w] to another number of channels: luminance, grey repeated, or without opacity."""
    if batch.shape[1] == channels:
        return batch
    if batch.shape[1] == 1:
        return batch.expand(-1, channels, -1, -1)
    if channels == 1:
        return (batch[:, :3] * torch.tensor(_LUMINANCE, dtype=batch.dtype)[:, None, None]).sum(1, keepdim=True)
    if channels == 3:
        return batch[:, :3]
    raise ValueError(f"images of {batch.shape[1]} channels cannot have {channels}")


def resize_px(px: int, crop_pct: float) -> int:
    """Return the side to which images are resized before their centre of `px` is cropped: px / crop_pct, rounded down.

    This is timm's rule (`transforms_imagenet_eval`).
    """
    return math.floor(px / crop_pct)


class NetworkInputs:
    """Images as a network takes them, float32 [n, channels, height, width], converted in advance or batch by batch.

    Images of another aspect are cropped to that of the network's input. With a `crop_pct` below 1, images are resized
    to larger sides (`resize_px`) and cropped to the centre, as timm evaluates networks.
    """

    def __init__(
        self,
        images: Images,
        channels: int,
        resolution: Resolution,
        normalisation: Normalisation,
        crop_pct: float = 1.0,
    ) -> None:
        self.labels, self.sides = images.labels, sides_of(resolution)
        self._resized = [resize_px(side, crop_pct) for side in self.sides]
        self._stored_crop = centre_crop(*sides_of(images.resolution), resolution)
        self._images, self._channels, self._normalisation = images, channels, normalisation
        self._mean, self._sd = (torch.tensor(v)[:, None, None] for v in (normalisation.mean, normalisation.sd))
        self._prepared: Tensor | None = None

    @property
    def is_in_memory(self) -> bool:
        return self._images.is_in_memory

    @property
    def mean_colour(self) -> tuple[int, int, int]:
        """The mean of the training images' pixels in RGB, from 0 to 255."""
        levels = [round(mean) for mean in self._normalisation.mean]
        red, green, blue = levels[:3] if len(levels) in (3, 4) else levels[:1] * 3
        return red, green, blue

    @property
    def bytes_per_image(self) -> int:
        return 4 * self._channels * prod(self.sides)

    @property
    def batch_size(self) -> int:
        """The number of images per batch of `batches`."""
        pixels = max(prod(self._resized), prod(sides_of(self._images.resolution)))
        return min(_MAX_BATCH_IMAGES, max(1, _MAX_BATCH_PIXELS // pixels))

    def prepare(self) -> NetworkInputs:
        """Convert all images in advance if they are in memory and small enough; return self."""
        if self.is_in_memory and len(self) * self.bytes_per_image <= _MAX_PREPARED_BYTES:
            self._prepared = torch.cat([self[batch] for batch in self.batches()])
        return self

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor | slice) -> Tensor:
        return self.convert(self._images.pixels[indices]) if self._prepared is None else self._prepared[indices]

    def stored_pixels(self, indices: Tensor) -> Tensor:
        return self._images.pixels[indices]

    def convert(self, pixels: Tensor) -> Tensor:
        """Convert uint8 images, stored ones or of the input's size: adapt the channels, normalise, crop and resize."""
        if pixels.shape[-2:] != self.sides:
            top, left, rows, columns = self._stored_crop
            pixels = pixels[..., top : top + rows, left : left + columns]
        batch = (adapt_channels(pixels.float(), self._channels) - self._mean) / self._sd
        if [*batch.shape[-2:]] != self._resized:
            batch = functional.interpolate(batch, self._resized, mode="bilinear", antialias=True, align_corners=False)
        top, left = (round((resized - side) / 2) for resized, side in zip(self._resized, self.sides, strict=True))
        batch = batch[..., top : top + self.sides[0], left : left + self.sides[1]]  # half to even, as in CenterCrop
        return batch.contiguous(memory_format=torch.channels_last)

    def batches(self) -> Iterator[slice]:
        """Yield slices over all images, in batches of bounded memory."""
        for start in range(0, len(self), self.batch_size):
            yield slice(start, start + self.batch_size)


def augment(batch: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Flip and shift the batch as the recipe says, each image at random."""
    if recipe.flip:
        batch = flip(batch, draw_flips(len(batch), generator))
    reach = round(recipe.shift * batch.shape[-2]), round(recipe.shift * batch.shape[-1])
    return shift(batch, draw_shifts(len(batch), reach, generator)) if any(reach) else batch


def draw_flips(n: int, generator: torch.Generator) -> Tensor:
    """Draw which of `n` images are flipped, bool [n]."""
    return torch.rand(n, generator=generator) < 0.5


def flip(batch: Tensor, flips: Tensor) -> Tensor:
    """Mirror the images for which `flips` is true."""
    return torch.where(flips[:, None, None, None], batch.flip(-1), batch)


def draw_shifts(n: int, reach: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw by how many pixels `n` images are shifted, int64 [2, n]: up and to the left, each by at most its reach."""
    return torch.stack([torch.randint(-most, most + 1, (n,), generator=generator) for most in reach])


def shift(batch: Tensor, offsets: Tensor) -> Tensor:
    """Shift each image up and to the left by its offsets; edges are repeated."""
    n, _, *sides = batch.shape
    rows, columns = (
        (torch.arange(side) + offset[:, None]).clamp(0, side - 1) for side, offset in zip(sides, offsets, strict=True)
    )
    return batch[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
