"""A recipe's optimiser and schedule; both are timm's."""

from __future__ import annotations

from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import nn
from torch.optim import Optimizer

from app.recipes import Recipe

_RMSPROP = {"alpha": 0.9, "momentum": 0.9, "eps": 1e-3}  # the paper's


def optimiser(network: nn.Module, recipe: Recipe) -> Optimizer:
    """AdamW, or RMSProp with TensorFlow's semantics. Biases and norms do not decay."""
    if recipe.optimizer == "rmsprop":
        return create_optimizer_v2(network, "rmsproptf", lr=recipe.lr, weight_decay=recipe.weight_decay, **_RMSPROP)
    return create_optimizer_v2(network, "adamw", lr=recipe.lr, weight_decay=recipe.weight_decay)


def schedule(optimizer: Optimizer, recipe: Recipe, steps_an_epoch: int) -> CosineLRScheduler:
    """By the step: a linear rise over the warm-up to the recipe's rate, then half a cosine down to a hundredth."""
    steps = recipe.epochs * steps_an_epoch
    warmup = min(round(recipe.warmup_epochs * steps_an_epoch), steps - 1)
    return CosineLRScheduler(
        optimizer,
        t_initial=steps - warmup,
        lr_min=recipe.lr / 100,
        warmup_t=warmup,
        warmup_prefix=True,
        warmup_lr_init=recipe.lr / 100,
        t_in_epochs=False,
    )
