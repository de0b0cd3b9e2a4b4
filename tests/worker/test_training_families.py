"""A network of any family trains like any other."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path

import pytest

from app.recipes import Recipe
from app.scaling.architecture import Config, Multipliers
from app.scaling.families import baseline, families
from tests.worker.support import digits, trained, weights
from worker.networks import build

EVERYTHING = Recipe(epochs=1, batch_size=32, lr=0.01, dropout=0.2, drop_path=0.2, ema_decay=0.9, flip=True, shift=0.13)
OF_EACH = [family.baselines[0].name for family in families().values()]


def narrow(name: str) -> Config:
    """The baseline, as narrow and shallow as it gets, for digits."""
    config = baseline(name).for_classes(10).scaled(Multipliers(r=0.15, d=0.1, w=0.05))
    return replace(config, resolution=32, in_chans=1)


@pytest.mark.parametrize("name", OF_EACH)
def test_a_network_of_any_family_trains_with_all_that_a_recipe_has(tmp_path: Path, name: str) -> None:
    config = narrow(name)

    result = trained(tmp_path, EVERYTHING, config=config, splits=digits(200))

    assert 0 <= result.accuracy <= 1
    assert isfinite(result.history[-1]["train_loss"])
    build(config).load_state_dict(weights(tmp_path))
