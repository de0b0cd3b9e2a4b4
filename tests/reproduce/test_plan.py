from __future__ import annotations

import pytest

from app.reproduce.plan import MIN_SIZES, Sizes, TrainingSeconds, count_trainings, estimate_steps, fit_to_time

SECONDS = TrainingSeconds(one_budget=10.0, over_range=12.0, family=(11.0, 8.0, 6.0))


def total(sizes: Sizes) -> float:
    return sum(estimate_steps(sizes, SECONDS).values())


def test_sizes_that_fit_are_kept() -> None:
    requested = Sizes(30, 120, 8, 3)

    assert fit_to_time(requested, SECONDS, total(requested)) == requested


@pytest.mark.parametrize("minutes", [20, 30, 60])
def test_sizes_shrink_until_they_fit_and_use_the_time(minutes: int) -> None:
    available = 2 * 60.0 * minutes  # two workers
    sizes = fit_to_time(Sizes(60, 400, 20, 6), SECONDS, available)

    assert 0.75 * available < total(sizes) <= available
    assert sizes.networks > sizes.at_one_budget > sizes.compound >= MIN_SIZES.compound


def test_sizes_do_not_shrink_below_their_minimum() -> None:
    assert fit_to_time(Sizes(), SECONDS, 1.0) == MIN_SIZES


def test_sizes_requested_below_the_minimum_are_kept() -> None:
    assert fit_to_time(Sizes(3, 3, 0, 1), SECONDS, 1.0) == Sizes(3, 3, 0, 1)


def test_trainings_are_counted_by_step() -> None:
    assert count_trainings(Sizes(10, 40, 5, 2)) == {"one_budget": 11, "over_range": 45, "family": 36}
    assert count_trainings(Sizes(10, 40, 0, 2))["one_budget"] == 10
