"""Optimisers and the learning rate's course."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from timm.optim import RMSpropTF

from app.recipes import Recipe
from tests.worker.support import TINY
from worker.networks import build
from worker.recipe import optimiser, schedule


def rates(recipe: Recipe, steps_an_epoch: int) -> list[float]:
    optimizer = optimiser(build(TINY), recipe)
    course = schedule(optimizer, recipe, steps_an_epoch)
    seen = []
    for step in range(recipe.epochs * steps_an_epoch):
        course.step_update(step)
        assert len({group["lr"] for group in optimizer.param_groups}) == 1
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def test_the_rate_rises_in_a_line_then_falls_to_nearly_nothing() -> None:
    seen = rates(Recipe(epochs=10, warmup_epochs=2, lr=0.5), steps_an_epoch=10)

    rise, fall = seen[:21], seen[20:]
    assert rise[20] == pytest.approx(0.5)
    assert [b - a for a, b in pairwise(rise)] == pytest.approx([(0.5 - 0.005) / 20] * 20)
    assert fall == sorted(fall, reverse=True)
    assert fall[len(fall) // 2] == pytest.approx((0.5 + 0.005) / 2)
    assert 0 < fall[-1] < 0.01 * 0.5 + 0.001


def test_without_a_warm_up_the_rate_begins_at_its_highest() -> None:
    seen = rates(Recipe(epochs=2, warmup_epochs=0, lr=0.1), steps_an_epoch=5)

    assert seen[0] == max(seen) == pytest.approx(0.1)


@pytest.mark.parametrize("warmup_epochs", [0, 0.5, 1])
@pytest.mark.parametrize("steps_an_epoch", [1, 3])
def test_however_short_a_training_the_rate_stays_within_bounds(warmup_epochs: float, steps_an_epoch: int) -> None:
    seen = rates(Recipe(epochs=1, warmup_epochs=warmup_epochs, lr=0.1), steps_an_epoch)

    assert max(seen) == pytest.approx(0.1)
    assert all(0 < rate <= 0.1 + 1e-12 for rate in seen)


@pytest.mark.parametrize("name", ["adamw", "rmsprop"])
def test_weights_decay_and_biases_and_norms_do_not(name: str) -> None:
    network = build(TINY)
    optimizer = optimiser(network, Recipe.model_validate({"optimizer": name, "weight_decay": 0.3}))

    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}

    assert {decays[id(p)] for p in network.parameters() if p.ndim > 1} == {0.3}
    assert {decays[id(p)] for p in network.parameters() if p.ndim == 1} == {0.0}


def test_adamw_is_torchs() -> None:
    assert type(optimiser(build(TINY), Recipe(optimizer="adamw"))) is torch.optim.AdamW


def test_rmsprop_has_tensorflows_semantics_and_the_papers_values() -> None:
    optimizer = optimiser(build(TINY), Recipe(optimizer="rmsprop", lr=0.048))

    assert isinstance(optimizer, RMSpropTF)
    assert {name: optimizer.defaults[name] for name in ("alpha", "momentum", "eps", "lr")} == {
        "alpha": 0.9,
        "momentum": 0.9,
        "eps": 1e-3,
        "lr": 0.048,
    }


def test_in_steps_the_rate_falls_by_the_decay_every_so_many_epochs_from_the_start() -> None:
    recipe = Recipe(epochs=10, warmup_epochs=3, lr=0.5, schedule="step", decay=0.9, decay_epochs=2.5)
    seen = rates(recipe, steps_an_epoch=10)

    assert [b - a for a, b in pairwise(seen[:30])] == pytest.approx([(0.5 - 0.005) / 30] * 29)
    assert seen[30:] == pytest.approx([0.5 * 0.9 ** (step // 25) for step in range(30, 100)])


def test_a_larger_batch_has_a_higher_rate_where_the_rate_is_for_a_batch() -> None:
    seen = rates(Recipe(epochs=2, warmup_epochs=0, lr=0.1, lr_batch=64, batch_size=128), steps_an_epoch=5)

    assert max(seen) == pytest.approx(0.2)
