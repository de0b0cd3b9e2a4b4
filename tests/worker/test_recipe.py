"""Optimizers and learning-rate schedules."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from timm.optim import RMSpropTF

from app.data.recipes import Recipe
from tests.worker.support import TINY
from worker.networks import build
from worker.training.optimizer import create_optimizer, create_scheduler


def rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    optimizer = create_optimizer(build(TINY), recipe)
    scheduler = create_scheduler(optimizer, recipe, steps_per_epoch)
    seen = []
    for step in range(recipe.epochs * steps_per_epoch):
        scheduler.step_update(step)
        assert len({group["lr"] for group in optimizer.param_groups}) == 1
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def test_cosine_schedule_warms_up_linearly_then_decays() -> None:
    seen = rates(Recipe(epochs=10, warmup_epochs=2, lr=0.5), steps_per_epoch=10)

    rise, fall = seen[:21], seen[20:]
    assert rise[20] == pytest.approx(0.5)
    assert [b - a for a, b in pairwise(rise)] == pytest.approx([(0.5 - 0.005) / 20] * 20)
    assert fall == sorted(fall, reverse=True)
    assert fall[len(fall) // 2] == pytest.approx((0.5 + 0.005) / 2)
    assert 0 < fall[-1] < 0.01 * 0.5 + 0.001


def test_rate_without_warm_up_starts_at_highest() -> None:
    seen = rates(Recipe(epochs=2, warmup_epochs=0, lr=0.1), steps_per_epoch=5)

    assert seen[0] == max(seen) == pytest.approx(0.1)


@pytest.mark.parametrize("warmup_epochs", [0, 0.5, 1])
@pytest.mark.parametrize("steps_per_epoch", [1, 3])
def test_rate_of_short_training_stays_within_bounds(warmup_epochs: float, steps_per_epoch: int) -> None:
    seen = rates(Recipe(epochs=1, warmup_epochs=warmup_epochs, lr=0.1), steps_per_epoch)

    assert max(seen) == pytest.approx(0.1)
    assert all(0 < rate <= 0.1 + 1e-12 for rate in seen)


@pytest.mark.parametrize("name", ["adamw", "rmsprop"])
def test_only_weights_decay_not_biases_or_norms(name: str) -> None:
    network = build(TINY)
    optimizer = create_optimizer(network, Recipe.model_validate({"optimizer": name, "weight_decay": 0.3}))

    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}

    assert {decays[id(p)] for p in network.parameters() if p.ndim > 1} == {0.3}
    assert {decays[id(p)] for p in network.parameters() if p.ndim == 1} == {0.0}


def test_adamw_is_torchs_optimizer() -> None:
    assert type(create_optimizer(build(TINY), Recipe(optimizer="adamw"))) is torch.optim.AdamW


def test_rmsprop_has_tensorflows_semantics_and_papers_values() -> None:
    optimizer = create_optimizer(build(TINY), Recipe(optimizer="rmsprop", lr=0.048))

    assert isinstance(optimizer, RMSpropTF)
    assert {name: optimizer.defaults[name] for name in ("alpha", "momentum", "eps", "lr")} == {
        "alpha": 0.9,
        "momentum": 0.9,
        "eps": 1e-3,
        "lr": 0.048,
    }


def test_step_schedule_decays_at_multiples_of_decay_epochs() -> None:
    recipe = Recipe(epochs=10, warmup_epochs=3, lr=0.5, schedule="step", decay=0.9, decay_epochs=2.5)
    seen = rates(recipe, steps_per_epoch=10)

    assert [b - a for a, b in pairwise(seen[:30])] == pytest.approx([(0.5 - 0.005) / 30] * 29)
    assert seen[30:] == pytest.approx([0.5 * 0.9 ** (step // 25) for step in range(30, 100)])


def test_learning_rate_scales_with_batch_size() -> None:
    seen = rates(Recipe(epochs=2, warmup_epochs=0, lr=0.1, lr_batch=64, batch_size=128), steps_per_epoch=5)

    assert max(seen) == pytest.approx(0.2)
