from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.recipes import PRESETS, Recipe


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    with pytest.raises(ValidationError, match="warmup_epochs"):
        Recipe(epochs=2, warmup_epochs=3)


@pytest.mark.parametrize("wrong", [{"lr": float("nan")}, {"epochs": 0}, {"batch_size": 1}, {"surprise": 1}])
def test_what_cannot_be_trained_with_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Recipe(**wrong)


def test_presets_survive_the_way_through_plain_data() -> None:
    for preset in PRESETS.values():
        assert Recipe(**preset.model_dump()) == preset
