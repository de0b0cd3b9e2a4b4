"""A worker whose loader process, or main thread, hangs in the first epoch: `python -m tests.worker.stuck_worker`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from torch import Generator, Tensor

from worker.data.augmentation import Augmentation
from worker.data.batches import BatchLoader
from worker.training import classification

_BATCHES_BEFORE = 5


class HangingAugmentation(Augmentation):
    """Makes some batches, then none."""

    _made = 0

    def __call__(self, indices: Tensor, generator: Generator) -> Tensor:
        self._made += 1
        while self._made > _BATCHES_BEFORE:
            Path(os.environ["RDW_DATA_DIR"], "hangs").touch()
            time.sleep(1)
        return super().__call__(indices, generator)


def load_with_process(parts: Any, augmentation: Any, loaders: int, *rest: Any, **options: Any) -> BatchLoader:
    """Use a loader process even for images in memory."""
    return BatchLoader(parts, augmentation, 1, *rest, **options)


if __name__ == "__main__":
    from worker.celery_app import celery

    classification.Augmentation = HangingAugmentation  # type: ignore[misc]
    if sys.argv[1] == "loader":
        classification.BatchLoader = load_with_process  # type: ignore[assignment,misc]
    celery.worker_main(["worker", "--pool", "solo", "--loglevel", "INFO", "--without-gossip", "--without-mingle"])
