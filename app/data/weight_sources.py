"""Where a training's initial weights, or its teacher, come from; weights are safetensors files, never pickles."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from app.core.json_scalars import JsonScalarsModel

MAX_FILE_BYTES = 1 << 30
_MAX_HEADER_BYTES = 1 << 24


class WeightSource(JsonScalarsModel):
    """Trained weights: of a completed trial, of a safetensors file, or timm's. Exactly one of these three is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: str | None = Field(None, pattern=r"^[0-9a-f]{32}$", description="Id of a completed trial.")
    file: str | None = Field(
        None, max_length=1000, description="Path of a safetensors file, relative to the data root (`datasets`)."
    )
    timm: str | None = Field(
        None, max_length=100, description="Name of a built-in baseline, whose pretrained weights timm has."
    )
    architecture: str | None = Field(
        None,
        max_length=200,
        description="The baseline that the weights of `file` are of, if rdw has not written it; null: the request's.",
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the file. The service fills it in, and rejects a file that has another one.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> WeightSource:
        if sum(value is not None for value in (self.trial, self.file, self.timm)) != 1:
            raise ValueError("exactly one of trial, file and timm is required")
        if self.architecture is not None and self.file is None:
            raise ValueError("architecture applies to a file only")
        if self.sha256 is not None and self.timm is not None:
            raise ValueError("sha256 does not apply to timm's weights")
        return self

    # With a return type, the spec would have separate models for requests and responses.
    @model_serializer(mode="wrap")
    def _leave_out_none(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        return {name: value for name, value in serialize(self).items() if value is not None}

    def __str__(self) -> str:
        if self.timm is not None:
            return f"timm's weights of {self.timm}"
        kind, name = ("trial", self.trial) if self.trial is not None else ("file", self.file)
        return f"the weights of {kind} {name}" + (f" (SHA-256 {self.sha256})" if self.sha256 else "")


class Distillation(JsonScalarsModel):
    """A teacher, whose logits or features the network learns besides the labels (Hinton et al., arXiv 1503.02531)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    teacher: WeightSource = Field(description="The trained network.")
    match: Literal["logits", "features"] = Field(
        "logits",
        description="What the network learns of the teacher: its logits, or the pooled features before its classifier.",
    )
    temperature: float = Field(
        2.0, ge=1, le=20, description="Temperature by which both networks' logits are divided; not used for features."
    )
    weight: float = Field(
        0.5, gt=0, le=1, description="Share of the teacher's loss in the training loss; the rest is the labels'."
    )

    @model_validator(mode="after")
    def _check_temperature(self) -> Distillation:
        if self.match == "features" and self.temperature != type(self).model_fields["temperature"].default:
            raise ValueError("temperature applies to logits only")
        return self


class InvalidWeights(ValueError):
    """The file is not a safetensors file that can be used; the message says why."""


def read_metadata(file: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file.

    Raises: InvalidWeights if it is too large, or not a safetensors file.
    """
    size = file.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InvalidWeights(f"{file.name} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are allowed.")
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            raise InvalidWeights(f"{file.name} is not a safetensors file; others, such as pickles, are never read.")
        header = opened.read(length)
    try:
        tensors = json.loads(header)
        metadata = tensors.pop("__metadata__", {})
        end = max((int(tensor["data_offsets"][1]) for tensor in tensors.values()), default=0)
        is_valid = all(isinstance(value, str) for value in metadata.values()) and 8 + length + end == size
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        is_valid = False
    if not is_valid:
        raise InvalidWeights(f"{file.name} is damaged: its header does not describe its content.")
    return dict(metadata)


def hash_file(file: Path) -> str:
    """Return the SHA-256 of a file, which is computed again only if its size or time has changed."""
    stat = file.stat()
    return _hash(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash(file: Path, size: int, modified: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
