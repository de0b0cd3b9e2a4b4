"""Reads trained weights from where a recipe says: a trial, a safetensors file, or timm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from app.core.errors import NotFound
from app.core.settings import Settings
from app.data.folder_scan import FolderError
from app.data.image_folders import locate_file
from app.data.weight_sources import InvalidWeights, WeightSource, read_metadata
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.errors import InvalidNetwork
from app.scaling.network import Config
from app.services.catalog import architectures
from app.services.trials import artifacts
from worker.data.preprocessing import Normalisation
from worker.networks import build
from worker.training.ssdlite import SSDLite


class SourceError(Exception):
    """Trained weights cannot be used; the message says why, and what to do."""


@dataclass(frozen=True)
class Pretrained:
    """A trained network in evaluation mode. `normalisation` and `classes` are those of its training, if they are known.

    `source` says in words where it is from, and `sha256` is that of the file or, for timm's, of the tensors.
    """

    source: str
    sha256: str
    network: nn.Module
    config: Config
    normalisation: Normalisation | None = None
    classes: tuple[str, ...] = ()


LoadWeights = Callable[[], Pretrained]


def load(settings: Settings, source: WeightSource) -> Pretrained:
    """Load the network of a source that the service has resolved.

    Raises: SourceError.
    """
    if source.timm is not None:
        return _load_from_timm(source.timm)
    try:
        with UnitOfWork(settings.database) as work:
            architecture = source.architecture and architectures.find(work, source.architecture).baseline
            if source.trial is not None:
                file = artifacts.find(work, settings.data_dir, source.trial, artifacts.Artifact.WEIGHTS).path
            else:
                file = locate_file(source.file or "", settings.data_dir)
        return replace(load_weights(file, source.sha256, architecture or None), source=str(source))
    except (NotFound, FolderError) as error:
        raise SourceError(f"The source of the weights is missing: {error}") from error


def load_weights(file: Path, sha256: str | None = None, architecture: Config | None = None) -> Pretrained:
    """Load the network of a safetensors file: of the config in its metadata, else of the `architecture`.

    The numbers of classes and channels of the latter follow from the tensors.
    Raises: SourceError if the file is damaged or has another SHA-256, or the tensors do not fit.
    """
    try:
        metadata = read_metadata(file)
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if sha256 not in (None, digest):
            raise SourceError(f"{file.name} has changed since the trial was requested: its SHA-256 is now {digest}.")
        state = load_file(file)
        config = Config.from_json(json.loads(metadata["config"])) if "config" in metadata else architecture
        if config is None:
            raise SourceError(f"{file.name} has no config in its metadata: give its `architecture`.")
        if "config" not in metadata:
            config = _fit_ends(config, state)
        network = _build(config, state, is_detector=metadata.get("task") == "detection")
        values = json.loads(metadata.get("normalisation", "null"))
        normalisation = Normalisation(tuple(values["mean"]), tuple(values["sd"])) if values else None
        classes = tuple(json.loads(metadata.get("classes", "[]")))
    except (InvalidWeights, SafetensorError, InvalidNetwork, ValueError, KeyError, TypeError, OSError) as error:
        raise SourceError(f"{file.name} cannot be used: {error}") from error
    return Pretrained(file.name, digest, network, config, normalisation, classes)


def _load_from_timm(name: str) -> Pretrained:
    try:
        original = timm.create_model(name, pretrained=True)
    except Exception as error:  # of timm, of the hub, of the network
        raise SourceError(
            f"timm's weights of {name} could not be loaded ({type(error).__name__}). The worker needs access to the "
            "hub, or the file in its cache; or put the weights below the data root and use `file`."
        ) from error
    state = original.state_dict()
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode() + state[key].numpy().tobytes())
    known = cast(dict[str, Any], original.pretrained_cfg)
    config = _fit_ends(families.baseline(name.partition(".")[0]).baseline, state)
    try:
        network = _build(config, state)
    except ValueError as error:
        raise SourceError(f"timm's weights of {name} cannot be used: {error}") from error
    mean, sd = (tuple(255 * value for value in known[values]) for values in ("mean", "std"))
    label = f"timm's weights of {name} ({known.get('tag')})"
    return Pretrained(label, digest.hexdigest(), network, config, Normalisation(mean, sd))


def _fit_ends(config: Config, state: Mapping[str, Tensor]) -> Config:
    """Return the config with the numbers of input channels and classes that the tensors have."""
    with torch.random.fork_rng(devices=[]):
        layers = [name for name, tensor in build(config).state_dict().items() if tensor.ndim > 1]
    stem, classifier = state.get(layers[0]), state.get(layers[-1])
    if stem is None or classifier is None or min(stem.ndim, classifier.ndim) < 2:
        raise ValueError(f"the weights are of another architecture: they have no {layers[0]} or no {layers[-1]}")
    return replace(config, in_chans=stem.shape[1], num_classes=classifier.shape[0])


def _build(config: Config, state: Mapping[str, Tensor], *, is_detector: bool = False) -> nn.Module:
    """Build the network with these weights. Torch's random generator is left as it is.

    Raises: ValueError if they are of another network.
    """
    with torch.random.fork_rng(devices=[]):
        network = SSDLite(config) if is_detector else build(config)
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        wrong = " ".join(str(error).split())
        raise ValueError(f"the weights are of another architecture ({wrong[:300]})") from error
    return network.eval()
