"""Where networks are trained: the CPU, or CUDA with reduced precision; chosen by settings, and recorded."""

from __future__ import annotations

import os
import re
import resource
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.settings import Settings


class DeviceError(Exception):
    """The device that the settings ask for is not here; the message says what to set."""


@dataclass(frozen=True)
class Device:
    """A device by torch's name; `reduced`: forward passes in bfloat16 where that is safe (autocast)."""

    name: str = "cpu"
    reduced: bool = False
    compiled: bool = False

    @property
    def cuda(self) -> bool:
        return self.name.startswith("cuda")

    @property
    def look_every(self) -> int:
        """After how many steps the loss is looked at: a look has a GPU wait for the CPU."""
        return 50 if self.cuda else 1

    def place(self, network: nn.Module) -> nn.Module:
        """The network there, channels last (depthwise convolutions are faster so, on CPUs too)."""
        network = network.to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compiled:
            network.compile()
        return network

    def take(self, tensor: Tensor) -> Tensor:
        """The tensor there; from pinned memory without waiting."""
        return tensor.to(self.name, non_blocking=True)

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.name.partition(":")[0], torch.bfloat16, enabled=self.reduced)

    def random_state(self) -> list[Tensor]:
        """Of all generators that a training draws from unseeded: the CPU's, then the device's own."""
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(self.name)] if self.cuda else [])]

    def restore(self, state: list[Tensor]) -> None:
        """Put the generators back to that state; one of another kind of device has no say here."""
        torch.set_rng_state(state[0])
        if self.cuda and len(state) > 1:
            torch.cuda.set_rng_state(state[1], self.name)

    def forget_peak(self) -> None:
        """From now on the peak of memory is counted anew."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.name)
        elif _PROCESS.is_dir():
            (_PROCESS / "clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """Bytes: of the device's memory, or of this process."""
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.name)
        if _PROCESS.is_dir():
            peak = re.search(r"VmHWM:\s+(\d+) kB", (_PROCESS / "status").read_text())
            if peak:
                return 1024 * int(peak[1])
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def describe(self) -> dict[str, Any]:
        """What decides a result of it, as plain data."""
        return {
            "device": self.name,
            **({"gpu": torch.cuda.get_device_name(self.name)} if self.cuda else {}),
            "precision": "bfloat16" if self.reduced else "float32",
            "compiled": self.compiled,
        }


_PROCESS = Path("/proc/self")


def chosen(settings: Settings) -> Device:
    """The settings' device: CUDA where there is one, unless they name another.

    Raises: DeviceError.
    """
    there = torch.cuda.is_available()
    name = settings.device if settings.device != "auto" else "cuda" if there else "cpu"
    if name.startswith("cuda"):
        index = int(name.partition(":")[2] or 0)
        if not there or index >= torch.cuda.device_count():
            raise DeviceError(f"RDW_DEVICE is {name}, and torch sees no such GPU: set it to cpu, or to auto.")
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only so
    reduced = settings.precision == "bfloat16" or (settings.precision == "auto" and name.startswith("cuda"))
    return Device(name, reduced=reduced, compiled=settings.compile)
