"""Predictors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Answer


class PredictorItem(Answer):
    id: str
    architecture: str
    dataset: str
    version: int
    active: bool
    observations: int
    quality: dict[str, Any] = Field(description="Leave-one-out: error, and shares within the bands.")
    gate: dict[str, Any] | None = Field(description="Whether it was found fit to become active by itself, and why.")
    provenance: str
    study_id: str | None
    created_at: datetime


class PredictorDetail(PredictorItem):
    points: list[dict[str, Any]]
    hyperparameters: dict[str, Any]
    surrogate: dict[str, Any] | None = Field(
        description="Of accuracy over (log c, r, d), where enough is known: points, hyperparameters."
    )


class ForetoldItem(Answer):
    """An accuracy that was predicted before its network was trained, and what came out, both from 0 to 1."""

    trial: str | None
    mean: float
    sd: float
    measured: float


class CalibrationAnswer(Answer):
    """How often the truth fell inside the 50 % and 90 % bands; none where nothing was predicted and trained."""

    trials: int
    inside_50: float | None
    inside_90: float | None
    items: list[ForetoldItem]


class CurvePoint(Answer):
    c: float
    r: float
    r_sd: float
    d: float
    d_sd: float
    accuracy: float | None = None
    accuracy_sd: float | None = None


class CurveAnswer(Answer):
    """r(c), d(c) and accuracy(c); `least` and `most` bound the data, beyond which it is a guess."""

    least: float
    most: float
    items: list[CurvePoint]
