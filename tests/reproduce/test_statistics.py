from __future__ import annotations

import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from app.reproduce.statistics import (
    Noise,
    Score,
    Verdict,
    adjust_by_holm,
    bootstrap_mean,
    calibrate,
    compare_rules,
    decide,
    estimate_mean,
    estimate_power,
    measure_noise,
    pair_differences,
    simulate_cells,
)

BENCH = Path(__file__).parents[2] / "bench" / "experiment_coverage.py"
BUDGETS = np.geomspace(0.1, 0.85, 24).tolist()


def simulate_scores(
    effects: dict[str, float], noise: Noise | None = None, studies: int = 3, seeds: int = 2, seed: int = 0
) -> list[Score]:
    """Simulate trainings of `compound`, which all studies share, and of rules that differ from it by `effects`."""
    noise = noise or Noise()
    generator = np.random.default_rng(seed)
    scores = []
    groups: list[tuple[str, int | None, float]] = [("compound", None, 0.0)]
    groups += [(rule, study, effect) for rule, effect in effects.items() for study in range(1, studies + 1)]
    for rule, study, effect in groups:
        shift = effect + (noise.study * generator.standard_normal() if study else 0.0)
        for budget in BUDGETS:
            network = 0.75 + 0.05 * math.log(budget) + shift + noise.network * generator.standard_normal()
            scores += [
                Score(rule, study, budget, 201 + n, network + noise.seed * generator.standard_normal())
                for n in range(seeds)
            ]
    return scores


@pytest.mark.parametrize("shift", [0.0, 0.003, 0.005])
def test_interval_contains_true_difference_in_95_of_100_experiments(shift: float) -> None:
    measure: Callable[..., tuple[float, float]] = runpy.run_path(str(BENCH))["measure_coverage"]
    coverage, half_width = measure(Noise(study=shift), (3, 24, 2), 1000, seed=7)

    assert 0.93 <= coverage <= 0.97
    assert 0.005 < half_width < 0.012


def test_single_study_gives_the_t_test_over_budgets() -> None:
    cells = simulate_cells(Noise(), 1, 24, 2, 1, np.random.default_rng(0)).mean(-1)
    expected = stats.ttest_1samp(cells[0, 0], 0.0)
    estimate = estimate_mean(cells[0])

    assert estimate.interval() == pytest.approx(expected.confidence_interval(0.95))
    assert estimate.p_value == pytest.approx(expected.pvalue)
    assert estimate.study_sd is None


def test_components_of_variance_are_recovered() -> None:
    noise = Noise(network=0.012, seed=0.008, study=0.02)
    estimate = estimate_mean(simulate_cells(noise, 8, 24, 2, 400, np.random.default_rng(1)).mean(-1))
    per_network = math.sqrt(noise.network**2 + noise.seed**2 / 2)
    assert estimate.study_sd is not None and estimate.interaction_sd is not None

    assert np.sqrt((estimate.study_sd**2).mean()) == pytest.approx(noise.study, rel=0.1)
    assert np.sqrt((estimate.budget_sd**2).mean()) == pytest.approx(per_network, rel=0.1)
    assert np.sqrt((estimate.interaction_sd**2).mean()) == pytest.approx(per_network, rel=0.1)


def test_large_effects_are_found_and_absent_ones_are_not() -> None:
    effects = {"surrogate": 0.03, "tiny_formula": -0.03}
    better, worse = compare_rules(simulate_scores(effects), [("surrogate", "compound"), ("tiny_formula", "compound")])

    assert (better.verdict, worse.verdict) == (Verdict.SUPERIOR, Verdict.INFERIOR)
    assert better.interval[0] < 0.03 < better.interval[1]
    assert better.wins > 0.8 > 0.2 > worse.wins
    assert [len(third.budgets) for third in better.thirds] == [8, 8, 8]
    assert better.thirds[0].budgets[-1] < better.thirds[1].budgets[0]


def test_quiet_trainings_without_effect_are_equivalent_and_noisy_ones_undecided() -> None:
    primary = [("surrogate", "compound")]
    (quiet,) = compare_rules(simulate_scores({"surrogate": 0.0}, Noise(0.003, 0.003, 0.0)), primary)
    (noisy,) = compare_rules(simulate_scores({"surrogate": 0.0}, Noise(0.02, 0.02, 0.0)), primary)

    assert (quiet.verdict, noisy.verdict) == (Verdict.EQUIVALENT, Verdict.UNDECIDED)


def test_order_of_scores_does_not_matter() -> None:
    scores = simulate_scores({"surrogate": 0.01})
    (one,) = compare_rules(scores, [("surrogate", "compound")])
    (other,) = compare_rules(scores[::-1], [("surrogate", "compound")])

    assert (one.interval, one.bootstrap_interval) == (other.interval, other.bootstrap_interval)


def test_only_budgets_complete_in_every_study_are_compared() -> None:
    """The last budgets of one study, a seed of one rule, and most of another study are missing."""
    scores = [
        s
        for s in simulate_scores({"surrogate": 0.01})
        if not (s.study == 2 and s.budget > BUDGETS[20]) and not (s.study == 3 and s.budget > BUDGETS[1])
        and not (s.rule == "compound" and s.budget == BUDGETS[0] and s.seed == 202)
    ]  # fmt: skip
    differences = pair_differences(scores, "surrogate", "compound")

    assert differences.studies == (1, 2)
    assert differences.budgets == tuple(BUDGETS[:21])
    assert differences.pairs == 2 * (21 * 2 - 1)
    assert not np.isnan(differences.values).any()


def test_rules_never_trained_together_are_left_out() -> None:
    scores = simulate_scores({"surrogate": 0.0})

    assert [c.name for c in compare_rules(scores, [("surrogate", "compound")], [("surrogate", "dwr")])] == [
        "surrogate - compound"
    ]


def test_holm_multiplies_the_smallest_p_value_by_their_number() -> None:
    assert adjust_by_holm([0.03, 0.01]) == pytest.approx([0.03, 0.02])
    assert adjust_by_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_by_holm([0.9, 0.8]) == [1.0, 1.0]
    assert adjust_by_holm([]) == []


def test_significance_comes_before_equivalence() -> None:
    assert decide(0.002, 0.01, (0.001, 0.003)) == Verdict.SUPERIOR
    assert decide(0.002, 0.06, (-0.001, 0.0049)) == Verdict.EQUIVALENT
    assert decide(0.002, 0.06, (-0.001, 0.0051)) == Verdict.UNDECIDED


def test_bootstrap_of_one_study_and_seed_resamples_budgets() -> None:
    values = np.random.default_rng(0).normal(0.01, 0.02, (1, 200, 1))
    low, high = bootstrap_mean(values)
    error = 1.96 * values.std() / math.sqrt(200)

    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.1 * error)


def test_more_trainings_tell_smaller_differences() -> None:
    small, full = estimate_power(2, 12, 2), estimate_power(3, 24, 2)

    assert full.half_width < small.half_width
    assert full.half_width < full.detectable < small.detectable


def test_power_states_the_difference_that_is_found_in_80_of_100() -> None:
    detectable = estimate_power(3, 24, 2).detectable
    estimate = estimate_mean(simulate_cells(Noise(), 3, 24, 2, 4000, np.random.default_rng(5)).mean(-1))
    found = estimate.mean + detectable > estimate.half_width(0.975)

    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_noise_of_recorded_trainings_is_measured() -> None:
    noise = measure_noise(simulate_scores({"surrogate": 0.01}, Noise(0.012, 0.008, 0.02), studies=30))

    assert noise is not None
    assert (noise.network, noise.seed, noise.study) == pytest.approx((0.012, 0.008, 0.02), rel=0.3)
    assert measure_noise([Score("compound", None, 0.5, 201, 0.7)]) is None


def test_calibration_tells_bias_and_band() -> None:
    calibration = calibrate([(0.72, 0.01, 0.70), (0.76, 0.01, 0.75), (0.80, 0.01, 0.77)])
    assert calibration is not None

    assert calibration.bias == pytest.approx(0.02)
    assert calibration.inside_90 == pytest.approx(1 / 3)
    assert calibration.spearman == pytest.approx(1.0)
    assert calibrate([]) is None


def test_same_accuracies_give_no_difference() -> None:
    scores: list[Any] = [Score(rule, None, b, 201, 0.7) for rule in ("a", "b") for b in BUDGETS]
    (contrast,) = compare_rules(scores, [("a", "b")])

    assert (contrast.mean, contrast.p_value, contrast.wins) == (0.0, 1.0, 0.5)
    assert contrast.verdict == Verdict.EQUIVALENT
