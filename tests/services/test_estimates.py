"""What a training would take: fitted to what trainings took, and held against it afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.datasets import DIGITS
from app.db.tables import TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.services.estimates import calibration

Open = Callable[[], UnitOfWork]
RECIPE = Recipe(epochs=3)
PER_FLOP, PER_IMAGE = 2e-10, 3e-4


def remember(
    work: UnitOfWork, flops: int, rate: float | None, *, state: str = "completed", dataset: str = "digits"
) -> None:
    work.session.add(
        TrialRow(
            fingerprint=f"{flops}-{rate}-{state}-{dataset}",
            architecture="small",
            config={},
            flops=flops,
            params=1,
            dataset=dataset,
            dataset_digest="",
            recipe={},
            seed=0,
            state=state,
            result=None if rate is None else {"images_per_second": rate},
            finished_at=utc_now(),
        )
    )
    work.session.flush()


def rate(flops: int) -> float:
    return 1 / (PER_FLOP * flops + PER_IMAGE)


def test_before_any_training_the_estimate_is_a_wide_guess(work: Open) -> None:
    with work() as unit:
        guess = calibration(unit).estimate(1_000_000, DIGITS, RECIPE)

    assert guess.trainings == 0
    assert guess.low < guess.seconds / 3
    assert guess.high > guess.seconds * 3


def test_trainings_of_several_sizes_tell_what_flops_and_images_take(work: Open) -> None:
    with work() as unit:
        for flops in (100_000, 1_000_000, 5_000_000, 20_000_000):
            remember(unit, flops, rate(flops))
        known = calibration(unit).estimate(8_000_000, DIGITS, RECIPE)

    images = DIGITS.train_images - round(0.1 * DIGITS.train_images)
    assert known.seconds == pytest.approx(3 * images / rate(8_000_000), rel=1e-6)
    assert known.low < known.seconds < known.high < 1.2 * known.seconds
    assert known.trainings == 4


def test_the_band_is_as_wide_as_trainings_were_off(work: Open) -> None:
    with work() as unit:
        for i, flops in enumerate((100_000, 1_000_000, 5_000_000, 20_000_000, 40_000_000)):
            remember(unit, flops, rate(flops) * (1.6 if i % 2 else 0.7))
        wide = calibration(unit)

    assert wide.spread > 1.4


def test_trainings_of_one_size_scale_the_guess(work: Open) -> None:
    with work() as unit:
        for i in range(3):
            remember(unit, 1_000_000 + i, 250.0)
        same = calibration(unit).estimate(1_000_000, DIGITS, Recipe(epochs=1, train_images=1000))

    assert same.seconds == pytest.approx(4.0, rel=0.01)


def test_only_what_completed_and_said_how_fast_it_was_counts(work: Open) -> None:
    with work() as unit:
        remember(unit, 1_000_000, 250.0, state="failed")
        remember(unit, 1_000_000, None)

        assert calibration(unit).trainings == 0


def test_detectors_and_classifiers_are_estimated_apart(work: Open) -> None:
    with work() as unit:
        for flops in (100_000, 1_000_000, 5_000_000):
            remember(unit, flops, rate(flops))
            remember(unit, flops, rate(flops) / 10, dataset="articles-on-photos")
        one, other = (calibration(unit, task) for task in ("classification", "detection"))

    assert (one.trainings, other.trainings) == (3, 3)
    assert other.per_flop == pytest.approx(10 * one.per_flop)
