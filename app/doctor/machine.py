"""Checks of this machine: torch, device, threads, fonts and data sets."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from app.core.settings import Settings
from app.data import fonts as typefaces
from app.data.builtin_datasets import TYPEFACES
from app.db.unit_of_work import UnitOfWork
from app.doctor.finding import Finding, fail, ok, warn
from app.services.catalog import datasets as catalog

_SECONDS = 120


def check_torch(settings: Settings) -> Finding:
    missing = [name for name in ("torch", "torchvision", "timm") if importlib.util.find_spec(name) is None]
    if missing:
        cure = "pip install 'rdw[worker]' where workers are to run; the API does not need them."
        return warn("torch", f"{', '.join(missing)} cannot be imported: no worker runs here", cure)
    return ok("torch", "workers can run here")


def check_device(settings: Settings) -> Finding:
    """Check that the configured GPU exists, as a worker sees it: in a process of its own that imports torch."""
    summary = f"RDW_DEVICE is {settings.device}"
    if not settings.device.startswith("cuda") or importlib.util.find_spec("torch") is None:
        return ok("device", summary)
    script = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=_SECONDS)
    gpus = int(process.stdout.strip() or 0)
    if int(settings.device.partition(":")[2] or 0) >= gpus:
        cure = "Set it to cpu or auto, or check that torch finds the GPU (nvidia-smi). Workers do not start like this."
        return fail("device", f"{summary}, and torch sees {gpus or 'no'} GPU{'' if gpus < 2 else 's'}", cure)
    return ok("device", summary)


def check_threads(settings: Settings) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    total = settings.thread_count * settings.worker_count
    summary = f"RDW_WORKERS={settings.worker_count}, RDW_THREADS={settings.thread_count} each, {cores} cores"
    if total > cores:
        cure = "Lower RDW_WORKERS or RDW_THREADS: they slow each other down."
        return warn("threads", summary, cure)
    return ok("threads", summary)


def check_fonts(settings: Settings) -> Finding:
    reason = typefaces.unavailable_reason("")
    if reason:
        return warn("fonts", "the data set typefaces cannot be rendered here", reason)
    return ok("fonts", "typefaces can be rendered")


def check_datasets(settings: Settings) -> Finding:
    with UnitOfWork(settings.database, writes=False) as work:
        datasets = catalog.list_all(work)
    reasons = {dataset.name: catalog.unavailable_reason(dataset, settings.data_dir) for dataset in datasets}
    unavailable = {name: why for name, why in reasons.items() if why and name != TYPEFACES}  # see `check_fonts`
    available = ", ".join(name for name, why in reasons.items() if not why)
    if unavailable:
        cures = "; ".join(f"{name}: {why}" for name, why in unavailable.items())
        return warn("data sets", f"{available}; not {', '.join(unavailable)}", cures)
    return ok("data sets", available)
