"""The device on which networks are trained: the CPU, or CUDA with mixed precision."""

from __future__ import annotations

import os
import platform
import re
import resource
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.core.settings import Settings


class DeviceError(Exception):
    """The configured device does not exist on this machine; the message says which setting to change."""


@dataclass(frozen=True)
class Device:
    """A torch device by name. `mixed_precision` runs forward passes in bfloat16 autocast."""

    name: str = "cpu"
    mixed_precision: bool = False
    compiled: bool = False

    @property
    def is_cuda(self) -> bool:
        return self.name.startswith("cuda")

    @property
    def loss_check_interval(self) -> int:
        """The number of steps between checks of the loss: reading it makes a GPU wait for the CPU."""
        return 50 if self.is_cuda else 1

    def place_network(self, network: nn.Module) -> nn.Module:
        """Move the network to the device in channels-last order, which makes depthwise convolutions faster."""
        network = network.to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch does not declare this pair
        if self.compiled:
            network.compile()
        return network

    def place(self, tensor: Tensor) -> Tensor:
        """Copy the tensor to the device, asynchronously if it is in pinned memory."""
        return tensor.to(self.name, non_blocking=True)

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.name.partition(":")[0], torch.bfloat16, enabled=self.mixed_precision)

    def random_state(self) -> list[Tensor]:
        """Return the states of the global random generators: the CPU's, then the GPU's if there is one."""
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(self.name)] if self.is_cuda else [])]

    def restore_random_state(self, state: list[Tensor]) -> None:
        """Restore the random generators; a GPU's state is ignored on a CPU."""
        torch.set_rng_state(state[0])
        if self.is_cuda and len(state) > 1:
            torch.cuda.set_rng_state(state[1], self.name)

    def reset_peak_memory(self) -> None:
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.name)
        elif _PROCESS.is_dir():
            (_PROCESS / "clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """Return the peak in bytes since the last reset: of the GPU's memory, or of this process."""
        if self.is_cuda:
            return torch.cuda.max_memory_allocated(self.name)
        if _PROCESS.is_dir():
            peak = re.search(r"VmHWM:\s+(\d+) kB", (_PROCESS / "status").read_text())
            if peak:
                return 1024 * int(peak[1])
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def describe(self) -> dict[str, Any]:
        """Return what affects a result as plain data."""
        return {
            "device": self.name,
            **({"gpu": torch.cuda.get_device_name(self.name)} if self.is_cuda else {}),
            "precision": "bfloat16" if self.mixed_precision else "float32",
            "compiled": self.compiled,
        }


_PROCESS = Path("/proc/self")
_PROCESSORS = Path("/proc/cpuinfo")


@cache
def describe_processor() -> str:
    """Return the model of the processor and the vector instructions that torch uses, which decide how sums are rounded.

    Outside of Linux it is the name of the architecture.
    """
    model = re.search(r"model name\s*: (.+)", _PROCESSORS.read_text()) if _PROCESSORS.is_file() else None
    return f"{model[1].strip() if model else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def select_device(settings: Settings) -> Device:
    """Return the configured device; `auto` is CUDA if it is available, else the CPU.

    Raises: DeviceError.
    """
    is_available = torch.cuda.is_available()
    name = settings.device if settings.device != "auto" else "cuda" if is_available else "cpu"
    if name.startswith("cuda"):
        index = int(name.partition(":")[2] or 0)
        if not is_available or index >= torch.cuda.device_count():
            raise DeviceError(f"RDW_DEVICE is {name}, but torch finds no such GPU: set it to cpu or auto.")
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic results of cuBLAS
    mixed = settings.precision == "bfloat16" or (settings.precision == "auto" and name.startswith("cuda"))
    return Device(name, mixed_precision=mixed, compiled=settings.compile)
