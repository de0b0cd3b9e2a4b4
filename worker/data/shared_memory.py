"""Shared memory, in which loader processes hand over their batches."""

from __future__ import annotations

import shutil
from pathlib import Path

from worker.data.image_store import DataError

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (where Linux has shared memory)
SHARED_MEMORY_ADVICE = (
    "Give the container more of it (docker run --shm-size=1g, shm_size in compose, an emptyDir with medium Memory at "
    "/dev/shm in Kubernetes), or use smaller batches or fewer RDW_THREADS."
)


def check_shared_memory(required: int, purpose: str) -> None:
    """Raise DataError if less than `required` bytes of shared memory are free: loader processes would hang."""
    if not SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    if required > free:
        raise DataError(
            f"{purpose} need {required / 1e6:.1f} MB of shared memory, but {SHARED_MEMORY} has {free / 1e6:.1f} MB "
            f"free. {SHARED_MEMORY_ADVICE}"
        )
