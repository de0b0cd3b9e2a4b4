"""Predictors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.schemas.common import Answer


class PredictorItem(Answer):
    id: str
    architecture: str
    dataset: str
    version: int
    active: bool
    observations: int
    quality: dict[str, Any]
    provenance: str
    study_id: str | None
    created_at: datetime


class PredictorDetail(PredictorItem):
    points: list[dict[str, Any]]
    hyperparameters: dict[str, Any]


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
