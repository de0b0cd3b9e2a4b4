"""Which built-in predictor answers for a baseline and a data set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.scaling.predictors import built_in
from app.scaling.predictors.built_in import RECORDED, built_in_predictor_for, built_in_predictors

BASELINE = "small-mbconv"


@pytest.fixture
def fewer_on_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another recorded predictor of the baseline: first by name, but fitted on fewer networks."""
    recorded = RECORDED / "small-mbconv.typefaces.recorded.json"
    shutil.copy(recorded, tmp_path)
    fewer = json.loads(recorded.read_text()) | {"dataset": "digits"}
    fewer["predictor"]["surrogate"]["points"].pop()
    (tmp_path / "a.json").write_text(json.dumps(fewer))
    monkeypatch.setattr(built_in, "RECORDED", tmp_path)
    built_in_predictors.cache_clear()
    yield
    built_in_predictors.cache_clear()


def test_predictor_of_the_data_set_is_preferred(fewer_on_digits: None) -> None:
    assert built_in_predictor_for(BASELINE, "digits").dataset == "digits"
    assert built_in_predictor_for(BASELINE, "typefaces").dataset == "typefaces"


@pytest.mark.parametrize("dataset", [None, "fashion-mnist"])
def test_otherwise_the_one_fitted_on_the_most_networks_answers(fewer_on_digits: None, dataset: str | None) -> None:
    assert built_in_predictor_for(BASELINE, dataset).dataset == "typefaces"


def test_other_baselines_get_the_published_predictor() -> None:
    assert built_in_predictor_for("resnet50", None).id == "published-tinynets"
