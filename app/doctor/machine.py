"""This machine: whether trainings can run on it, and on what."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from app import typefaces
from app.db.unit_of_work import UnitOfWork
from app.doctor.finding import Finding, fail, ok, warn
from app.services import datasets as known_datasets
from app.settings import Settings

_SECONDS = 120


def torch(settings: Settings) -> Finding:
    lacks = [name for name in ("torch", "torchvision", "timm") if importlib.util.find_spec(name) is None]
    if lacks:
        cure = "pip install 'rdw[worker]' where workers are to run; the API does without."
        return warn("torch", f"{', '.join(lacks)} cannot be imported: no worker runs here", cure)
    return ok("torch", "workers can run here")


def device(settings: Settings) -> Finding:
    """Whether the GPU that is asked for is there, as a worker sees it; torch is not for this process."""
    said = f"RDW_DEVICE is {settings.device}"
    if not settings.device.startswith("cuda") or importlib.util.find_spec("torch") is None:
        return ok("device", said)
    look = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    asked = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=_SECONDS)
    there = int(asked.stdout.strip() or 0)
    if int(settings.device.partition(":")[2] or 0) >= there:
        cure = (
            "Set it to cpu, or to auto; or see that torch finds the GPU (nvidia-smi). Workers do not start like this."
        )
        return fail("device", f"{said}, and torch sees {there or 'no'} GPU{'' if there < 2 else 's'}", cure)
    return ok("device", said)


def threads(settings: Settings) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = settings.thread_count * settings.worker_count
    said = f"RDW_WORKERS={settings.worker_count}, RDW_THREADS={settings.thread_count} each, {cores} cores"
    if wanted > cores:
        cure = "Lower RDW_WORKERS or RDW_THREADS: they slow each other down."
        return warn("threads", said, cure)
    return ok("threads", said)


def fonts(settings: Settings) -> Finding:
    lacks = typefaces.missing("")
    if lacks:
        return warn("fonts", "the data set typefaces cannot be drawn here", lacks)
    return ok("fonts", "typefaces can be drawn")


def datasets(settings: Settings) -> Finding:
    with UnitOfWork(settings.database, writes=False) as work:
        all_of_them = known_datasets.all_of_them(work)
    lacks = {one.name: known_datasets.missing(one, settings.data_dir) for one in all_of_them}
    absent = {name: why for name, why in lacks.items() if why and name != typefaces.NAME}  # which `fonts` looks at
    there = ", ".join(name for name, why in lacks.items() if not why)
    if absent:
        cures = "; ".join(f"{name}: {why}" for name, why in absent.items())
        return warn("data sets", f"{there}; not {', '.join(absent)}", cures)
    return ok("data sets", there)
