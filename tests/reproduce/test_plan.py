from __future__ import annotations

import pytest

from app.reproduce.plan import LEAST, Prices, Sizes, cost, fitting, trainings

PRICES = Prices(one_budget=10.0, over_range=12.0, family=(11.0, 8.0, 6.0))


def test_what_fits_is_not_made_smaller() -> None:
    wanted = Sizes(30, 120, 8, 3)

    assert fitting(wanted, PRICES, cost(wanted, PRICES).whole) == wanted


@pytest.mark.parametrize("minutes", [20, 30, 60])
def test_sizes_shrink_until_they_fit_and_use_the_time(minutes: int) -> None:
    seconds = 2 * 60.0 * minutes  # two workers
    found = fitting(Sizes(60, 400, 20, 6), PRICES, seconds)

    assert 0.75 * seconds < cost(found, PRICES).whole <= seconds
    assert found.networks > found.at_one_budget > found.compound >= LEAST.compound


def test_below_their_least_they_do_not_shrink() -> None:
    assert fitting(Sizes(), PRICES, 1.0) == LEAST


def test_what_was_wanted_smaller_than_the_least_stays_so() -> None:
    assert fitting(Sizes(3, 3, 0, 1), PRICES, 1.0) == Sizes(3, 3, 0, 1)


def test_trainings_are_counted_by_step() -> None:
    assert trainings(Sizes(10, 40, 5, 2), budgets=3) == {"one_budget": 11, "over_range": 45, "family": 36}
    assert trainings(Sizes(10, 40, 0, 2), budgets=3)["one_budget"] == 10
