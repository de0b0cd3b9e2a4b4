"""Resolves the trained weights that a recipe names, so that their contents are part of what identifies a trial."""

from __future__ import annotations

import json
from pathlib import Path

from app.core.errors import ArtifactNotFound, Conflict, InvalidRequest, NotFound
from app.data.builtin_datasets import Dataset
from app.data.folder_scan import FolderError
from app.data.image_folders import locate_file
from app.data.preset_names import PresetName
from app.data.recipes import Recipe, recipe_for
from app.data.weight_sources import InvalidWeights, WeightSource, hash_file, read_metadata
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.errors import InvalidNetwork
from app.scaling.families.inheritance import explain_mismatch
from app.scaling.network import Config
from app.services.catalog import architectures
from app.services.trials import artifacts, requests


def resolve_recipe(
    work: UnitOfWork,
    data_dir: Path,
    dataset: Dataset,
    requested: Recipe | PresetName | None,
    pointer: str,
    network: Config,
    architecture: str = "",
) -> Recipe:
    """Return the recipe for a data set (`recipe_for`) with the digests of the weights that it starts and learns from.

    `network` is one to train, or the baseline that it is scaled from, whose name is `architecture`. The transaction may
    be released, so nothing may be locked in it yet.
    Raises: InvalidRequest; NotFound; Conflict if a source trial has not completed or has no weights.
    """
    recipe = recipe_for(dataset, requested, pointer, architecture)
    changes: dict[str, object] = {}
    if recipe.init != "scratch":
        at = f"{pointer}/init"
        named = WeightSource(timm=architecture) if recipe.init == "timm" and architecture else recipe.init
        if named == "timm":
            raise InvalidRequest(at, 'A config has no baseline: name one, such as {"timm": "efficientnet_b0"}.')
        source, config = _resolve(work, data_dir, named, at, architecture)
        if mismatch := explain_mismatch(config, network):
            raise InvalidRequest(at, f"The network cannot be initialised with {source}: {mismatch}.")
        changes["init"] = source
    if recipe.distill is not None:
        at = f"{pointer}/distill/teacher"
        source, config = _resolve(work, data_dir, recipe.distill.teacher, at, architecture)
        is_known = source.file is None or source.architecture is None  # else its tensors say how many
        if is_known and config.num_classes != dataset.num_classes:
            have = f"{config.num_classes:,} classes, {dataset.name} has {dataset.num_classes:,}"
            raise InvalidRequest(at, f"A teacher needs the classes of the data: {source} have {have}.")
        changes["distill"] = recipe.distill.model_copy(update={"teacher": source})
    return recipe.model_copy(update=changes) if changes else recipe


def _resolve(
    work: UnitOfWork, data_dir: Path, source: WeightSource, pointer: str, architecture: str
) -> tuple[WeightSource, Config]:
    """Return the source with its digest, and its network; the ends of that may differ from those of the weights."""
    if source.timm is not None:
        baseline = families.baselines().get(source.timm.partition(".")[0])
        if baseline is None:
            raise InvalidRequest(f"{pointer}/timm", f"{source.timm!r} is not a built-in baseline of timm's.")
        return source, baseline.baseline
    if source.trial is not None:
        trial = requests.find(work, source.trial)
        try:
            stored = artifacts.find(work, data_dir, trial.id, artifacts.Artifact.WEIGHTS)
        except ArtifactNotFound as error:
            raise Conflict(f"The trial {trial.id} cannot be a source of weights. {error}") from None
        resolved = source.model_copy(update={"trial": trial.id})
        return _with_digest(resolved, stored.sha256 or hash_file(stored.path), pointer), Config.from_json(trial.config)
    work.release()  # reading a large file takes seconds
    try:
        path = locate_file(source.file or "", data_dir)
        metadata = read_metadata(path)
        written = Config.from_json(json.loads(metadata["config"])) if "config" in metadata else None
        if written is not None:
            families.check(written)
    except (FolderError, InvalidWeights) as error:
        raise InvalidRequest(f"{pointer}/file", str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, InvalidNetwork):
        raise InvalidRequest(f"{pointer}/file", "The config in the file's metadata is not one of rdw.") from None
    source = _with_digest(source, hash_file(path), pointer)
    if written is not None:
        return source.model_copy(update={"architecture": None}), written
    name = source.architecture or architecture
    try:
        found = architectures.find(work, name)
    except NotFound:
        raise InvalidRequest(
            f"{pointer}/architecture",
            "The file has no config of rdw in its metadata: name the built-in or registered baseline that its weights "
            "are of.",
        ) from None
    return source.model_copy(update={"architecture": found.name}), found.baseline


def _with_digest(source: WeightSource, sha256: str, pointer: str) -> WeightSource:
    if source.sha256 not in (None, sha256):
        raise InvalidRequest(f"{pointer}/sha256", f"The file's SHA-256 is {sha256}, so it has other contents.")
    return source.model_copy(update={"sha256": sha256})
