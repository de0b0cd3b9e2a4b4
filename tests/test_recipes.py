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


def test_the_rate_is_scaled_with_the_batch_it_is_for() -> None:
    assert Recipe(lr=0.048, lr_batch=1024, batch_size=128).highest_lr == pytest.approx(0.006)
    assert Recipe(lr=0.048, batch_size=128).highest_lr == 0.048


def test_the_papers_recipe_is_the_papers() -> None:
    paper = PRESETS["tinynet"]

    assert (paper.optimizer, paper.lr, paper.batch_size, paper.lr_batch) == ("rmsprop", 0.048, 1024, 1024)
    assert (paper.schedule, paper.decay, paper.decay_epochs, paper.warmup_epochs) == ("step", 0.97, 2.4, 3)
    assert (paper.epochs, paper.weight_decay, paper.ema_decay, paper.label_smoothing) == (450, 1e-5, 0.9999, 0.1)
    assert (paper.dropout, paper.drop_path, paper.colour_jitter, paper.randaugment) == (0.2, 0, 0.4, None)
    changed = {"randaugment": 9, "colour_jitter": 0}
    assert PRESETS["tinynet-ra"].model_dump() == {**paper.model_dump(), **changed}


def test_options_that_came_later_do_not_decide_where_they_are_not_used() -> None:
    plain = Recipe(epochs=2)

    assert "randaugment" not in plain.decisive()
    assert plain.decisive()["epochs"] == 2
    assert Recipe(epochs=2, randaugment=9).decisive()["randaugment"] == 9
    assert {name for name in Recipe.model_fields if name not in plain.decisive()} == {
        "lr_batch",
        "schedule",
        "decay",
        "decay_epochs",
        "crop",
        "colour_jitter",
        "randaugment",
    }
