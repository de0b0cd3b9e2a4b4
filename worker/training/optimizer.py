"""A recipe's optimiser and schedule; both are timm's."""

from __future__ import annotations

from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from app.recipes import Recipe

_RMSPROP = {"alpha": 0.9, "momentum": 0.9, "eps": 1e-3}  # the paper's


def optimiser(network: nn.Module, recipe: Recipe) -> Optimizer:
    """AdamW, or RMSProp with TensorFlow's semantics. Biases and norms do not decay."""
    common = {"lr": recipe.highest_lr, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "rmsprop":
        return create_optimizer_v2(network, "rmsproptf", **common, **_RMSPROP)
    return create_optimizer_v2(network, "adamw", **common)


def schedule(optimizer: Optimizer, recipe: Recipe, steps_an_epoch: int) -> Scheduler:
    """By the step: a linear rise over the warm-up to the recipe's rate, then down from there.

    `cosine`: half a cosine down to a hundredth. `step`: times `decay` every `decay_epochs`, counted from the start as
    timm counts them.
    """
    steps = recipe.epochs * steps_an_epoch
    warmup = min(round(recipe.warmup_epochs * steps_an_epoch), steps - 1)
    lowest = recipe.highest_lr / 100
    if recipe.schedule == "step":
        return StepLRScheduler(
            optimizer,
            decay_t=max(1, round(recipe.decay_epochs * steps_an_epoch)),
            decay_rate=recipe.decay,
            warmup_t=warmup,
            warmup_prefix=False,
            warmup_lr_init=lowest,
            t_in_epochs=False,
        )
    return CosineLRScheduler(
        optimizer,
        t_initial=steps - warmup,
        lr_min=lowest,
        warmup_t=warmup,
        warmup_prefix=True,
        warmup_lr_init=lowest,
        t_in_epochs=False,
    )
