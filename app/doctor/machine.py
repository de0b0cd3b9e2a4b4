"""This machine: whether trainings can run on it, and on what."""

from __future__ import annotations

import importlib.util
import os

from app import typefaces
from app.db.unit_of_work import UnitOfWork
from app.doctor.finding import Finding, ok, warn
from app.services import datasets as known_datasets
from app.settings import Settings


def torch(settings: Settings) -> Finding:
    lacks = [name for name in ("torch", "torchvision", "timm") if importlib.util.find_spec(name) is None]
    if lacks:
        cure = "pip install 'rdw[worker]' where workers are to run; the API does without."
        return warn("torch", f"{', '.join(lacks)} cannot be imported: no worker runs here", cure)
    return ok("torch", "workers can run here")


def threads(settings: Settings) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = settings.thread_count * settings.worker_count
    said = f"{settings.worker_count} workers with {settings.thread_count} threads each, {cores} cores"
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
