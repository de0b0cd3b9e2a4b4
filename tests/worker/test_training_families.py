"""Networks of every family can be trained."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path

import pytest

from app.data.recipes import Recipe
from app.scaling.families import baseline, families
from app.scaling.network import Config, Multipliers
from tests.worker.support import digits, load_weights, train_small
from worker.networks import build

EVERYTHING = Recipe(epochs=1, batch_size=32, lr=0.01, dropout=0.2, drop_path=0.2, ema_decay=0.9, flip=True, shift=0.13)
ONE_PER_FAMILY = [family.baselines[0].name for family in families().values()]


def narrow(name: str) -> Config:
    """Return the smallest network of a baseline, for digits."""
    config = baseline(name).adapt(10).scale(Multipliers(r=0.15, d=0.1, w=0.05))
    return replace(config, resolution=32, in_chans=1)


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_every_family_trains_with_every_recipe_option(tmp_path: Path, name: str) -> None:
    config = narrow(name)

    result = train_small(tmp_path, EVERYTHING, config=config, splits=digits(200))

    assert 0 <= result.accuracy <= 1
    assert isfinite(result.history[-1]["train_loss"])
    build(config).load_state_dict(load_weights(tmp_path))
