from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling.families import flops_of
from app.scaling.network import Architecture, Multipliers
from app.scaling.search.inversion import find_multipliers
from app.scaling.solver.width_solver import SearchRadius, solve
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL
from tests.support import example_count

MULTIPLIERS = st.builds(Multipliers, st.floats(0.5, 2.5), st.floats(0.2, 3), st.floats(0.2, 3))


@settings(max_examples=example_count(60))
@given(st.sampled_from(ARCHITECTURES), MULTIPLIERS)
def test_scaled_network_has_multipliers_that_scale_to_it(architecture: Architecture, multipliers: Multipliers) -> None:
    config = architecture.scale(multipliers)
    found = find_multipliers(architecture, config)

    assert found is not None and found.w_stages is None
    assert architecture.scale(found) == config


def test_network_with_a_width_per_stage_has_multipliers() -> None:
    config = solve(B0, 0.8, 0.9, int(0.37 * flops_of(B0)), radius=SearchRadius(stages=True), tolerance=1e-5).config
    found = find_multipliers(B0, config)

    assert found is not None and found.w_stages is not None
    assert B0.scale(found) == config


def test_other_network_has_no_multipliers() -> None:
    config = SMALL.scale(Multipliers(1, 1, 1))
    stage = config.stages[0]

    assert find_multipliers(B0, config) is None
    assert find_multipliers(SMALL, replace(config, num_classes=7)) is None
    assert find_multipliers(SMALL, replace(config, stages=(replace(stage, channels=1001), *config.stages[1:]))) is None
