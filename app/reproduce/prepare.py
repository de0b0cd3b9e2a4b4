"""What has to exist before anything is trained: a data set that can be used, and the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.reproduce.design import small_mbconv
from rdw_client import Client
from rdw_client.models import Architecture, Dataset


class CannotRun(Exception):
    """The options make the run impossible; the message says why."""


def find_dataset(client: Client, name: str) -> Dataset:
    """Return the data set of that name.

    Raises: CannotRun if the service has no such data set, or its images are missing.
    """
    datasets = {dataset.name: dataset for dataset in client.datasets()}
    dataset = datasets.get(name)
    if dataset is None:
        raise CannotRun(f"There is no data set {name!r}; there are {', '.join(sorted(datasets))}.")
    if dataset.missing:
        raise CannotRun(dataset.missing)
    return dataset


def find_baseline(client: Client, requested: str | Mapping[str, Any] | None, channels: int) -> Architecture:
    """Return the baseline of a name, or register the requested one; the default is a small MBConv network."""
    if isinstance(requested, str):
        return client.architecture(requested)
    return client.register_architecture(dict(requested or small_mbconv(channels)))
