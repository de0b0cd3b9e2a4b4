from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from app.core.errors import InvalidRequest
from app.data.builtin_datasets import ARTICLES_ON_PHOTOS, DIGITS
from app.data.recipes import PRESETS, Recipe, recipe_for
from app.data.weight_sources import Distillation, WeightSource
from app.services.trials.requests import TrialPlan
from tests.worker.support import TINY


def test_warm_up_longer_than_training_is_refused() -> None:
    with pytest.raises(ValidationError, match="warmup_epochs"):
        Recipe(epochs=2, warmup_epochs=3)


@pytest.mark.parametrize("wrong", [{"lr": float("nan")}, {"epochs": 0}, {"batch_size": 1}, {"surprise": 1}])
def test_what_cannot_be_trained_with_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Recipe(**wrong)


def test_presets_survive_the_way_through_plain_data() -> None:
    for preset in PRESETS.values():
        assert Recipe(**preset.model_dump()) == preset


def test_learning_rate_scales_with_batch_size() -> None:
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


def test_unused_newer_options_do_not_determine_recipe() -> None:
    plain = Recipe(epochs=2)

    assert "randaugment" not in plain.determining_options()
    assert plain.determining_options()["epochs"] == 2
    assert Recipe(epochs=2, randaugment=9).determining_options()["randaugment"] == 9
    assert {name for name in Recipe.model_fields if name not in plain.determining_options()} == {
        "lr_batch",
        "schedule",
        "decay",
        "decay_epochs",
        "crop",
        "colour_jitter",
        "randaugment",
        "crop_pct",
        "init",
        "distill",
        "freeze_epochs",
        "layer_decay",
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("label_smoothing", 0.1),
        ("dropout", 0.2),
        ("crop", 0.5),
        ("colour_jitter", 0.4),
        ("randaugment", 9),
        ("crop_pct", 0.9),
    ],
)
def test_classification_options_are_refused_for_detection(option: str, value: float) -> None:
    asked = Recipe(**{option: value})

    with pytest.raises(InvalidRequest, match=f"{option} does not apply to detection.*detection-quick") as raised:
        recipe_for(ARTICLES_ON_PHOTOS, asked, "/train/recipe")

    assert raised.value.pointer == f"/train/recipe/{option}"
    assert recipe_for(DIGITS, asked, "/recipe") == asked


def test_classification_options_default_to_off_for_detection() -> None:
    plain = recipe_for(ARTICLES_ON_PHOTOS, Recipe(epochs=2, flip=True, drop_path=0.1), "/recipe")

    assert (plain.label_smoothing, plain.dropout, plain.epochs, plain.flip, plain.drop_path) == (0, 0, 2, True, 0.1)
    assert recipe_for(ARTICLES_ON_PHOTOS, plain, "/recipe") == plain  # as a study keeps it
    assert recipe_for(ARTICLES_ON_PHOTOS, Recipe(**plain.model_dump()), "/recipe") == plain


@pytest.mark.parametrize(
    ("recipe", "architecture", "crop_pct"),
    [
        (None, "tinynet_e", 0.875),
        ("tinynet", "tinynet_mine", 0.875),
        (Recipe(epochs=2), "tinynet_a", 0.875),
        (Recipe(epochs=2, crop_pct=1), "tinynet_a", 1),
        (Recipe(crop_pct=0.6), "tinynet_a", 0.6),
        ("tinynet", "efficientnet_b0", 1),
        (None, "", 1),
    ],
)
def test_tinynets_are_evaluated_as_published_unless_set(recipe: Any, architecture: str, crop_pct: float) -> None:
    assert recipe_for(DIGITS, recipe, "/recipe", architecture).crop_pct == crop_pct


def test_detectors_are_evaluated_on_the_whole_image() -> None:
    assert recipe_for(ARTICLES_ON_PHOTOS, None, "/recipe", "tinynet_e").crop_pct == 1


@pytest.mark.parametrize("crop_pct", [0.49, 1.01])
def test_crop_pct_out_of_bounds_is_refused(crop_pct: float) -> None:
    with pytest.raises(ValidationError, match="crop_pct"):
        Recipe(crop_pct=crop_pct)


def test_each_preset_is_for_one_task() -> None:
    for name, preset in PRESETS.items():
        own, other = (ARTICLES_ON_PHOTOS, DIGITS) if name == "detection-quick" else (DIGITS, ARTICLES_ON_PHOTOS)
        assert recipe_for(own, name, "/recipe") == preset
        with pytest.raises(InvalidRequest, match=f"'{name}' is not a recipe for {other.task}; use"):
            recipe_for(other, name, "/recipe")
    with pytest.raises(InvalidRequest, match="use detection-quick"):
        recipe_for(ARTICLES_ON_PHOTOS, "quick", "/recipe")
    with pytest.raises(InvalidRequest, match="use quick or digits-smoke or tinynet or tinynet-ra"):
        recipe_for(DIGITS, "detection-quick", "/recipe")


@pytest.mark.parametrize(
    ("recipe", "fingerprint"),
    [
        (Recipe(), "2ce8d7f404cbec9933346ba35c7ff5fde6add612a0f14816dfa6a7aede5e9a6d"),
        (PRESETS["tinynet-ra"], "99b90bad61c30a59185bced92561ca4c2848e8dc4792ff622c6fe05b776109e4"),
    ],
)
def test_trainings_from_scratch_keep_the_fingerprints_of_earlier_releases(recipe: Recipe, fingerprint: str) -> None:
    stages = tuple(replace(s, expansion=float(s.expansion), se_ratio=float(s.se_ratio)) for s in TINY.stages)
    config = replace(TINY, stages=stages)  # as requests are read

    assert TrialPlan("tiny", config, DIGITS, recipe, 3).fingerprint == fingerprint


def test_sources_survive_the_way_through_plain_data() -> None:
    source = WeightSource(trial="0" * 32, sha256="a" * 64)
    recipe = Recipe(init=source, distill=Distillation(teacher=source))

    plain = recipe.to_json()

    assert plain["init"] == {"trial": "0" * 32, "sha256": "a" * 64}
    assert Recipe.from_json(plain) == recipe
    assert recipe.determining_options()["distill"]["teacher"] == plain["init"]


def test_temperature_of_features_is_refused() -> None:
    with pytest.raises(ValidationError, match="temperature applies to logits only"):
        Distillation(teacher=WeightSource(timm="resnet18"), match="features", temperature=3)


def test_more_frozen_epochs_than_epochs_are_refused() -> None:
    with pytest.raises(ValidationError, match="freeze_epochs"):
        Recipe(epochs=2, freeze_epochs=3)


@pytest.mark.parametrize(
    "option", [{"distill": Distillation(teacher=WeightSource(timm="resnet18"))}, {"layer_decay": 0.5}]
)
def test_detectors_have_no_teacher_and_one_rate(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="does not apply to detection"):
        recipe_for(ARTICLES_ON_PHOTOS, Recipe(**option), "/recipe")
