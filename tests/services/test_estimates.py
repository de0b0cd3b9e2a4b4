"""Estimates of training times, fitted to completed trainings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.trials import TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.services.trials.estimates import fit_throughput

Open = Callable[[], UnitOfWork]
RECIPE = Recipe(epochs=3)
PER_FLOP, PER_IMAGE = 2e-10, 3e-4


def add_completed_trial(
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
            result=None if rate is None else TrialResult(0.5, 1.0, {}, images_per_second=rate),
            finished_at=utc_now(),
        )
    )
    work.session.flush()


def rate(flops: int) -> float:
    return 1 / (PER_FLOP * flops + PER_IMAGE)


def test_estimate_without_trainings_has_a_wide_interval(work: Open) -> None:
    with work() as unit:
        guess = fit_throughput(unit).estimate(1_000_000, DIGITS, RECIPE)

    assert guess.trainings == 0
    assert guess.low < guess.seconds / 3
    assert guess.high > guess.seconds * 3


def test_throughput_is_fitted_to_trainings_of_several_sizes(work: Open) -> None:
    with work() as unit:
        for flops in (100_000, 1_000_000, 5_000_000, 20_000_000):
            add_completed_trial(unit, flops, rate(flops))
        known = fit_throughput(unit).estimate(8_000_000, DIGITS, RECIPE)

    images = DIGITS.train_images - round(0.1 * DIGITS.train_images)
    assert known.seconds == pytest.approx(3 * images / rate(8_000_000), rel=1e-6)
    assert known.low < known.seconds < known.high < 1.2 * known.seconds
    assert known.trainings == 4


def test_interval_reflects_the_scatter_of_trainings(work: Open) -> None:
    with work() as unit:
        for i, flops in enumerate((100_000, 1_000_000, 5_000_000, 20_000_000, 40_000_000)):
            add_completed_trial(unit, flops, rate(flops) * (1.6 if i % 2 else 0.7))
        wide = fit_throughput(unit)

    assert wide.spread > 1.4


def test_trainings_of_one_size_scale_the_default(work: Open) -> None:
    with work() as unit:
        for i in range(3):
            add_completed_trial(unit, 1_000_000 + i, 250.0)
        same = fit_throughput(unit).estimate(1_000_000, DIGITS, Recipe(epochs=1, train_images=1000))

    assert same.seconds == pytest.approx(4.0, rel=0.01)


def test_only_completed_trials_with_a_throughput_count(work: Open) -> None:
    with work() as unit:
        add_completed_trial(unit, 1_000_000, 250.0, state="failed")
        add_completed_trial(unit, 1_000_000, None)

        assert fit_throughput(unit).trainings == 0


def test_detection_and_classification_have_separate_estimates(work: Open) -> None:
    with work() as unit:
        for flops in (100_000, 1_000_000, 5_000_000):
            add_completed_trial(unit, flops, rate(flops))
            add_completed_trial(unit, flops, rate(flops) / 10, dataset="articles-on-photos")
        one, other = (fit_throughput(unit, task) for task in ("classification", "detection"))

    assert (one.trainings, other.trainings) == (3, 3)
    assert other.per_flop == pytest.approx(10 * one.per_flop)
