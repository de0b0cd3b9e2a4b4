"""From stored images to a network's input: channels, size, normalisation, augmentation. All by the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from app.recipes import Recipe
from worker.stored import Images

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL's
_AT_ONCE_BYTES = 1 << 30
_LOOKED_AT = 10_000_000  # numbers, for the mean and deviation
_BATCH, _BATCH_PIXELS = 512, 1 << 20  # the most images in a batch, and the most pixels, on the larger of both sides


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the training images, of all channels together, pixels from 0 to 255."""

    mean: float
    sd: float

    @classmethod
    def of(cls, images: Images) -> Normalisation:
        """Over all images; of large sets over an even choice."""
        of_one = images.pixels[:1].numel()
        pixels = images.pixels[:: max(1, of_one * len(images) // _LOOKED_AT)].double()
        return cls(float(pixels.mean()), max(float(pixels.std()), 1.0))


class Inputs:
    """Images as a network takes them, float32 [n, channels, px, px]: prepared once, or by the batch where too many."""

    def __init__(self, images: Images, channels: int, px: int, normalisation: Normalisation) -> None:
        self.labels = images.labels
        self._images, self._channels, self._px, self._normalisation = images, channels, px, normalisation
        self._prepared: Tensor | None = None

    @property
    def held(self) -> bool:
        """Whether the images are in memory."""
        return self._images.held

    def prepare(self) -> Inputs:
        """Prepare all at once, where the images are in memory and there is room for them; itself."""
        if self.held and 4 * len(self) * self._channels * self._px**2 <= _AT_ONCE_BYTES:
            self._prepared = torch.cat([self[batch] for batch in self.batches()])
        return self

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        """The chosen images: resized with antialiasing, grey repeated or colours weighed to the channels wanted."""
        return self.taken(self._images.pixels[chosen]) if self._prepared is None else self._prepared[chosen]

    def pixels(self, chosen: Tensor) -> Tensor:
        """The chosen images as they are stored."""
        return self._images.pixels[chosen]

    @property
    def px(self) -> int:
        """The side of what the network takes."""
        return self._px

    @property
    def grey(self) -> int:
        """The mean of the training images, from 0 to 255."""
        return round(self._normalisation.mean)

    def taken(self, pixels: Tensor) -> Tensor:
        """Any uint8 images as the network takes them."""
        batch = (pixels.float() - self._normalisation.mean) / self._normalisation.sd
        if self._channels == 1 and batch.shape[1] == 3:
            batch = (batch * torch.tensor(_LUMINANCE)[:, None, None]).sum(1, keepdim=True)
        elif batch.shape[1] == 1:
            batch = batch.expand(-1, self._channels, -1, -1)
        if batch.shape[-1] != self._px:
            size = (self._px, self._px)
            batch = functional.interpolate(batch, size, mode="bilinear", antialias=True, align_corners=False)
        return batch.contiguous(memory_format=torch.channels_last)

    def batches(self) -> Iterator[slice]:
        """All images in order, few enough at a time for any memory."""
        side = max(self._px, self._images.px)
        size = min(_BATCH, max(1, _BATCH_PIXELS // side**2))
        for start in range(0, len(self), size):
            yield slice(start, start + size)


def augmented(batch: Tensor, recipe: Recipe, random: torch.Generator) -> Tensor:
    """The batch shifted and mirrored as the recipe says; each image by its own draw, edges repeated."""
    if recipe.flip:
        mirrored = torch.rand(len(batch), generator=random) < 0.5
        batch = torch.where(mirrored[:, None, None, None], batch.flip(-1), batch)
    reach = round(recipe.shift * batch.shape[-1])
    return shifted(batch, offsets(len(batch), reach, random)) if reach else batch


def offsets(n: int, reach: int, random: torch.Generator) -> Tensor:
    """How far `n` images are shifted, int64 [2, n], px: by up to `reach` up, then to the left."""
    return torch.randint(-reach, reach + 1, (2, n, 1), generator=random)[..., 0]


def shifted(batch: Tensor, offsets: Tensor) -> Tensor:
    """Each image moved up and to the left by its own offsets, edges repeated."""
    n, _, px, _ = batch.shape
    rows, columns = (torch.arange(px) + offset[:, None] for offset in offsets)
    rows, columns = rows.clamp(0, px - 1), columns.clamp(0, px - 1)
    return batch[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
