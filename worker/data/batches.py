"""Batches for a network, made in this process or by loader processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from app.data.builtin_datasets import Part
from worker.data.augmentation import Augmentation
from worker.data.image_store import DataError
from worker.data.preprocessing import NetworkInputs
from worker.data.shared_memory import check_shared_memory

_BATCHES_PER_LOADER = 2  # that a loader makes ahead


@dataclass(frozen=True)
class BatchRequest:
    """The images of a part with these indices, augmented with the seed unless that is None."""

    part: Part
    indices: Tensor | slice
    seed: int | None = None


class BatchLoader:
    """Yields batches of the three parts, with the same bits whichever process makes them.

    With `loaders`, that many processes read, decode and augment images ahead of the network. They are spawned, since
    torch's threads do not survive a fork. A training batch has at most `batch_size` images.

    Raises: DataError if the batches of the loaders do not fit in shared memory.
    """

    def __init__(
        self,
        parts: Mapping[Part, NetworkInputs],
        augmentation: Augmentation,
        loaders: int,
        batch_size: int,
        *,
        pin_memory: bool,
    ) -> None:
        self._parts, self._dataset = parts, _BatchDataset(parts, augmentation)
        self._requests: list[BatchRequest] = []
        self._loader: DataLoader[Any] | None = None
        if loaders:
            bytes_per_batch = max(max(part.batch_size, batch_size) * part.bytes_per_image for part in parts.values())
            batches = loaders * _BATCHES_PER_LOADER + 1  # the last one is in use
            check_shared_memory(batches * bytes_per_batch, f"{batches} batches of {loaders} loader processes")
            self._loader = DataLoader(
                self._dataset,
                batch_size=None,
                sampler=self._requests,
                num_workers=loaders,
                prefetch_factor=_BATCHES_PER_LOADER,
                multiprocessing_context="spawn",
                persistent_workers=True,
                pin_memory=pin_memory,
                generator=torch.Generator(),  # so that its unused draws do not change the state that dropout uses
            )
            # Start the processes before a training measures its time.
            list(self.batches([BatchRequest(next(iter(parts)), slice(0, 1))]))

    def batches(self, requests: list[BatchRequest]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images as the network takes them and their labels, in the order of the requests. Raises: DataError."""
        for request, images in zip(requests, self._make(requests), strict=True):
            if isinstance(images, str):
                raise DataError(images)
            yield images, self._parts[request.part].labels[request.indices]

    def all_batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all images of a part without augmentation. Raises: DataError."""
        return self.batches([BatchRequest(part, batch) for batch in self._parts[part].batches()])

    def _make(self, requests: list[BatchRequest]) -> Iterator[Tensor | str]:
        if self._loader is None:
            return (self._dataset[request] for request in requests)
        self._requests[:] = requests
        return iter(self._loader)


class _BatchDataset(Dataset[Any]):
    def __init__(self, parts: Mapping[Part, NetworkInputs], augmentation: Augmentation) -> None:
        self._parts, self._augmentation = parts, augmentation

    def __getitem__(self, request: BatchRequest) -> Tensor | str:
        """Return the images, or the message of a DataError: exceptions lose theirs between processes."""
        try:
            if request.seed is None:
                return self._parts[request.part][request.indices]
            assert isinstance(request.indices, Tensor)
            return self._augmentation(request.indices, torch.Generator().manual_seed(request.seed))
        except DataError as error:
            return str(error)
