"""The values that shell completion offers: names, and what the service has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

import typer

from app.cli.ids import abbreviate
from app.data.builtin_datasets import BUILT_IN_NAMES

if TYPE_CHECKING:
    from rdw_client import Client

Values = list[tuple[str, str]]  # each with a description

_TIMEOUT = 2.0  # seconds for which the shell waits
_MAX_VALUES = 100
ARTIFACTS = ("weights.safetensors", "model.onnx", "log.csv", "labels.txt", "confusion.csv")


def complete_trial(ctx: typer.Context) -> Values:
    return _fetch(ctx, lambda rdw: ((abbreviate(one.id), f"{one.architecture}, {one.state}") for one in rdw.trials()))


def complete_study(ctx: typer.Context) -> Values:
    return _fetch(ctx, lambda rdw: ((abbreviate(one.id), f"{one.name}, {one.state}") for one in rdw.studies()))


def complete_predictor(ctx: typer.Context) -> Values:
    return _fetch(ctx, lambda rdw: ((one.id, f"{one.architecture} on {one.dataset}") for one in rdw.predictors()))


def complete_architecture(ctx: typer.Context) -> Values:
    return _fetch(ctx, lambda rdw: ((one.name, one.family) for one in rdw.architectures()))


def complete_dataset(ctx: typer.Context) -> Values:
    """Offer the data sets of the service; if it does not answer, the built-in ones."""
    datasets = _fetch(ctx, lambda rdw: ((one.name, one.task) for one in rdw.datasets()))
    return datasets or [(name, "") for name in BUILT_IN_NAMES]


def _fetch(ctx: typer.Context, fetch: Callable[[Client], Iterable[tuple[str, str]]]) -> Values:
    """Return the first values that the service has; none if it does not answer."""
    from rdw_client import Client, RdwError

    try:
        with Client(ctx.params.get("url"), ctx.params.get("key"), timeout=_TIMEOUT, retries=0) as rdw:
            return list(islice(fetch(rdw), _MAX_VALUES))
    except (RdwError, ValueError):
        return []
