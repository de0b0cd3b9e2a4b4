"""A recipe's optimizer and learning-rate schedule, both from timm."""

from __future__ import annotations

from functools import partial

from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from app.data.recipes import Recipe
from worker.training.ssdlite import SSDLite


def create_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """Create AdamW, or RMSProp with TensorFlow's semantics; biases and norms do not decay."""
    create = partial(
        create_optimizer_v2,
        network,
        lr=recipe.highest_lr,
        weight_decay=recipe.weight_decay,
        layer_decay=recipe.layer_decay,
    )
    if recipe.optimizer == "rmsprop":
        return create(opt="rmsproptf", alpha=0.9, momentum=0.9, eps=1e-3)  # the paper's values
    return create(opt="adamw")


def freeze_body(network: nn.Module, *, is_frozen: bool) -> None:
    """Freeze or unfreeze all but the classifier, of a detector the backbone. Frozen batch norms keep their statistics.

    An optimizer leaves frozen parameters as they are, since they get no gradients.
    """
    if isinstance(network, SSDLite):
        body = set(network.backbone.modules())
    else:
        body = set(network.modules()) - set(network.get_classifier().modules())  # type: ignore[operator]
    for module in body:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(not is_frozen)
        if is_frozen and isinstance(module, _BatchNorm):
            module.eval()


def create_scheduler(optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int) -> Scheduler:
    """Create the schedule, which is updated every step: a linear warm-up, then a decay.

    `cosine` is half a cosine down to a hundredth of the rate. `step` multiplies it by `decay` every `decay_epochs`,
    which timm counts from the start of the training.
    """
    steps = recipe.epochs * steps_per_epoch
    warmup = min(round(recipe.warmup_epochs * steps_per_epoch), steps - 1)
    lowest = recipe.highest_lr / 100
    if recipe.schedule == "step":
        return StepLRScheduler(
            optimizer,
            decay_t=max(1, round(recipe.decay_epochs * steps_per_epoch)),
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
