"""Batches on their way to a network: made where they are needed, or by processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from app.datasets import Part
from worker.augmentation import Augmentation
from worker.images import Inputs
from worker.stored import DataError


@dataclass(frozen=True)
class Wanted:
    """A batch: images of a part by their indices, augmented by draws from the seed where there is one."""

    part: Part
    chosen: Tensor | slice
    seed: int | None = None


class Feed:
    """Gives batches of three parts, the same bits whoever makes them.

    With loaders, so many processes read, decode and augment ahead of the network. They are started afresh, not forked:
    torch's threads do not survive that.
    """

    def __init__(self, parts: Mapping[Part, Inputs], augmentation: Augmentation, loaders: int, *, pinned: bool) -> None:
        self._parts, self._making, self._order = parts, _Making(parts, augmentation), _Order()
        self._loader: DataLoader[Any] | None = None
        if loaders:
            self._loader = DataLoader(
                self._making,
                batch_size=None,
                sampler=self._order,
                num_workers=loaders,
                multiprocessing_context="spawn",
                persistent_workers=True,
                pin_memory=pinned,
                generator=torch.Generator(),  # its draws, of no use here, are not dropout's
            )
            self._start(next(iter(parts)))

    def batches(self, wanted: list[Wanted]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images as the network takes them and their classes, in this order. Raises: DataError."""
        for batch, made in zip(wanted, self._made(wanted), strict=True):
            if isinstance(made, str):
                raise DataError(made)
            yield made, self._parts[batch.part].labels[batch.chosen]

    def in_order(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """All images of a part as they are."""
        return self.batches([Wanted(part, batch) for batch in self._parts[part].batches()])

    def _start(self, part: Part) -> None:
        """Have the loaders started before a training counts its seconds."""
        for _ in self.batches([Wanted(part, slice(0, 1))]):
            pass

    def _made(self, wanted: list[Wanted]) -> Iterator[Tensor | str]:
        if self._loader is None:
            return (self._making[batch] for batch in wanted)
        self._order.wanted = wanted
        return iter(self._loader)


class _Making(Dataset[Any]):
    def __init__(self, parts: Mapping[Part, Inputs], augmentation: Augmentation) -> None:
        self._parts, self._augmentation = parts, augmentation

    def __getitem__(self, wanted: Wanted) -> Tensor | str:
        """The images, or why there are none: between processes exceptions lose their words."""
        try:
            if wanted.seed is None:
                return self._parts[wanted.part][wanted.chosen]
            assert isinstance(wanted.chosen, Tensor)
            return self._augmentation(wanted.chosen, torch.Generator().manual_seed(wanted.seed))
        except DataError as error:
            return str(error)


class _Order:
    """What the loaders are to make next."""

    def __init__(self) -> None:
        self.wanted: list[Wanted] = []

    def __iter__(self) -> Iterator[Wanted]:
        return iter(self.wanted)

    def __len__(self) -> int:
        return len(self.wanted)
