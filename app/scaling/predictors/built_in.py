"""The predictors that come with rdw: that of the published TinyNets, and those of recorded studies.

`recorded/` has a file for each of the latter, which `bench/recorded_predictors.py` writes. They are fitted there, so
that nobody waits for it. As versions never change, other data need another file name, from which the id is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from app.scaling.predictors import published_tinynets
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.promotion_gate import Decision

RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True)
class BuiltInPredictor:
    """A predictor, what it was fitted on, and the gate's decision; published networks pass no gate."""

    id: str
    architecture: str
    dataset: str
    provenance: str
    predictor: Predictor
    gate: Decision | None = None

    @property
    def networks(self) -> int:
        """How many trained networks it was fitted on; the front's alone if it has no surrogate."""
        surrogate = self.predictor.surrogate
        return len(self.predictor.points if surrogate is None else surrogate.points)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of `recorded/`."""
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        predictor, gate = Predictor.from_json(plain["predictor"]), Decision.from_json(plain["gate"])
        return cls(path.stem, plain["architecture"], plain["dataset"], plain["provenance"], predictor, gate)


@lru_cache(maxsize=1)
def built_in_predictors() -> dict[str, BuiltInPredictor]:
    """Return the built-in predictors by id: the published one, then those fitted on the most networks first."""
    published = BuiltInPredictor(
        published_tinynets.PREDICTOR,
        published_tinynets.BASELINE,
        published_tinynets.DATASET,
        published_tinynets.PROVENANCE,
        published_tinynets.published_predictor(),
    )
    recorded = sorted(map(BuiltInPredictor.read, RECORDED.glob("*.json")), key=lambda one: (-one.networks, one.id))
    return {one.id: one for one in (published, *recorded)}


def built_in_predictor_for(architecture: str, dataset: str | None) -> BuiltInPredictor:
    """Return the built-in predictor for a baseline and data set.

    Without one for the data set it is the baseline's that was fitted on the most networks, and without one for the
    baseline the published one.
    """
    published, *_ = built_in = tuple(built_in_predictors().values())
    of_baseline = [one for one in built_in if one.architecture == architecture]
    return next((one for one in of_baseline if one.dataset == dataset), (*of_baseline, published)[0])
